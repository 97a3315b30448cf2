// SPDX-License-Identifier: MIT
// What a node knows of its cluster, as a page of metrics (protocol.md, "Metrics"): the original's names and labels, and a few of ours.
// Pure; whoever gathers passes in what gossip has counted.

import PikoCore

extension PrometheusText {
    /// How many nodes there are of each status, this one included.
    mutating func add(clusterNodes statuses: [NodeStatus]) {
        begin("piko_cluster_nodes", .gauge, "Nodes of the cluster.")
        for status in [NodeStatus.active, .unreachable, .left] {
            sample([("status", status.rawValue)], statuses.count { $0 == status })
        }
    }

    mutating func add(_ counters: GossipCounters, lostPackets: UInt64, _ nodes: [GossipNodeState]) {
        for (name, help, value) in Self.totals(counters, lostPackets) {
            begin("piko_gossip_\(name)_total", .counter, help)
            sample(value)
        }
        begin("piko_gossip_rejected_total", .counter, "What came on the gossip port and was not taken, by reason.")
        for reason in GossipRejection.allCases { sample([("reason", reason.rawValue)], counters.rejected[reason] ?? 0) }
        begin("piko_gossip_entries", .gauge, "Keys known of each node.")
        for node in nodes { entries(node.counts, of: node.peer.id) }
    }

    private static func totals(_ counters: GossipCounters, _ lostPackets: UInt64) -> [(String, String, UInt64)] {
        [
            ("connections_inbound", "Connections accepted.", counters.connectionsInbound),
            ("connections_outbound", "Connections made.", counters.connectionsOutbound),
            ("stream_bytes_inbound", "Bytes read from connections.", counters.streamBytesInbound),
            ("stream_bytes_outbound", "Bytes written to connections.", counters.streamBytesOutbound),
            ("packet_bytes_inbound", "Bytes of packets received.", counters.packetBytesInbound),
            ("packet_bytes_outbound", "Bytes of packets sent.", counters.packetBytesOutbound),
            ("digest_entries_inbound", "Digest entries received.", counters.digestEntriesInbound),
            ("digest_entries_outbound", "Digest entries sent.", counters.digestEntriesOutbound),
            ("delta_entries_inbound", "Delta entries received.", counters.deltaEntriesInbound),
            ("delta_entries_outbound", "Delta entries sent.", counters.deltaEntriesOutbound),
            ("malformed_messages", "Messages received that are none.", counters.malformed),
            ("unanswered_digests", "Digests not answered because there were too many.", counters.unanswered),
            ("unknown_node_packets", "Packets of nodes that were not known.", counters.unknownNodePackets),
            ("lost_packets", "Packets that could not be sent or came cut.", lostPackets),
        ]
    }

    private mutating func entries(_ counts: EntryCounts, of node: String) {
        let parts = [
            ("false", "false", counts.live), ("false", "true", counts.liveInternal), ("true", "false", counts.deleted),
            ("true", "true", counts.deletedInternal),
        ]
        for (deleted, isInternal, count) in parts {
            sample([("node_id", node), ("deleted", deleted), ("internal", isInternal)], count)
        }
    }
}
