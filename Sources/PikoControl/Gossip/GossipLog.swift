// SPDX-License-Identifier: MIT
// What gossip has to say to an operator, as log lines. Other nodes cause most of them, so their number is bounded.
// Any thread; decides nothing.

import PikoCore

extension Log {
    func write(_ fact: GossipFact) {
        switch fact {
        case .joined(let id): info("joined cluster") { $0.add("node_id", id) }
        case .nodeFound(let node): peer(.info, "node joined", node)
        case .nodeUnreachable(let node): peer(.warn, "node unreachable", node)
        case .nodeBack(let node): peer(.info, "node back", node)
        case .nodeLeft(let node): peer(.info, "node left", node)
        case .nodeForgotten(let node): peer(.info, "node forgotten", node)
        case .earlierLife(let version): peer(.info, "others knew an earlier life of this node") { $0.add("version", version) }
        case .sameID(let address): peer(.error, "another node has this node's id") { $0.add("addr", address) }
        case .tooManyNodes: peer(.error, "more nodes than are kept")
        case .tooMuchState: peer(.error, "nodes say more than is kept")
        case .endpointTooLong(let bytes): peer(.warn, "endpoint not announced: its name fits no packet") { $0.add("bytes", bytes) }
        case .rejected(let reason, let source): rejected(reason, source)
        case .paused(let milliseconds): warn("this process stood still") { $0.add("milliseconds", milliseconds) }
        }
    }

    /// After a restart others still write to the life before; all else is somebody's doing.
    private func rejected(_ reason: GossipRejection, _ source: String) {
        peer(reason == .stale ? .debug : .warn, "gossip not taken") {
            $0.add("reason", reason.rawValue)
            if !source.isEmpty { $0.add("addr", source) }
        }
    }

    private func peer(_ level: LogLevel, _ message: StaticString, _ node: GossipPeer) {
        peer(level, message) {
            $0.add("node_id", node.id)
            $0.add("addr", node.address)
        }
    }
}
