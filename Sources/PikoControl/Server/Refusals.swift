// SPDX-License-Identifier: MIT
// What a node has refused, by reason, for metrics: everything that is turned away is counted somewhere.
// Any thread. Refused requests are counted with the others, by status (ProxyMetrics).

import Synchronization

/// Counters of a node.
final class Refusals: Sendable {
    /// Client connections beyond `proxy.limits.connections`, and beyond a client's own share of them.
    let connections = Atomic<UInt64>(0)
    let connectionsOfClient = Atomic<UInt64>(0)
    /// Streams that a tunnel had no room for.
    let streams = Atomic<UInt64>(0)
    /// What agents did in their tunnels, and other nodes in their sessions.
    let agentFaults = SessionFaults()
    let nodeFaults = SessionFaults()
    /// WebSockets of TCP clients that broke the protocol, and were ended for it.
    let brokenClients = Atomic<UInt64>(0)
    private let byStatus = Mutex(ByStatus())

    private struct ByStatus {
        var upstreams: [UInt16: UInt64] = [:]
        var clients: [UInt16: UInt64] = [:]
    }

    /// An agent's dial was answered with this status; 408: it did not come to the point in time.
    func countUpstream(_ status: UInt16) { byStatus.withLock { $0.upstreams[status, default: 0] += 1 } }

    /// A TCP client that had been taken over was answered with this status.
    func countClient(_ status: UInt16) { byStatus.withLock { $0.clients[status, default: 0] += 1 } }

    /// At one moment.
    func snapshot(requests: UInt64) -> RefusalSnapshot {
        let byStatus = byStatus.withLock { $0 }
        return RefusalSnapshot(
            connections: connections.load(ordering: .relaxed), connectionsOfClient: connectionsOfClient.load(ordering: .relaxed),
            requests: requests, streams: streams.load(ordering: .relaxed),
            brokenClients: brokenClients.load(ordering: .relaxed),
            upstreams: byStatus.upstreams, clients: byStatus.clients)
    }
}

/// What has been refused so far.
struct RefusalSnapshot: Equatable, Sendable {
    var connections: UInt64 = 0
    var connectionsOfClient: UInt64 = 0
    var requests: UInt64 = 0
    var streams: UInt64 = 0
    var brokenClients: UInt64 = 0
    /// By status.
    var upstreams: [UInt16: UInt64] = [:]
    var clients: [UInt16: UInt64] = [:]
}

extension PrometheusText {
    /// Not of the original. By status.
    mutating func add(refusedAdminRequests: [UInt16: UInt64]) {
        begin("piko_admin_requests_refused_total", .counter, "Heads and connections that the admin port refused, by status.")
        sample(byStatus: refusedAdminRequests)
    }

    /// Not of the original.
    mutating func add(exhaustedDescriptors: UInt64) {
        begin("piko_descriptors_exhausted_total", .counter, "Connections, to whichever port, that no descriptor was left for.")
        sample(exhaustedDescriptors)
    }

    /// Not of the original.
    mutating func add(_ refusals: RefusalSnapshot) {
        begin("piko_proxy_connections_refused_total", .counter, "Client connections beyond a limit.")
        sample([("limit", "connections")], refusals.connections)
        sample([("limit", "connections_per_ip")], refusals.connectionsOfClient)
        begin("piko_proxy_requests_limited_total", .counter, "Requests beyond the rate of their client.")
        sample(refusals.requests)
        begin("piko_proxy_tcp_refused_total", .counter, "TCP clients that no agent took, by status.")
        sample(byStatus: refusals.clients)
        begin("piko_proxy_protocol_errors_total", .counter, "TCP clients ended because they broke the WebSocket protocol.")
        sample(refusals.brokenClients)
        begin("piko_upstreams_refused_total", .counter, "Dials of agents that got no tunnel, by status.")
        sample(byStatus: refusals.upstreams)
        begin("piko_upstreams_streams_refused_total", .counter, "Requests that a tunnel had no room for.")
        sample(refusals.streams)
    }

    private mutating func sample(byStatus counts: [UInt16: UInt64]) {
        for (status, count) in counts.sorted(by: { $0.key < $1.key }) { sample([("status", String(status))], count) }
    }
}
