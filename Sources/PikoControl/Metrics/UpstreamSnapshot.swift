// SPDX-License-Identifier: MIT
// What a node knows about its tunnels and selections at one moment, as a page of metrics.
// A plain value: whoever gathers fills it in from the table and the loops.

/// What the table of upstreams says and what the loops have counted. Any thread.
public struct UpstreamSnapshot: Equatable, Sendable {
    /// Tunnels now.
    public var connectedUpstreams = 0
    /// Endpoints that have a tunnel now.
    public var registeredEndpoints = 0
    /// Requests that went to a tunnel of this node.
    public var upstreamRequests: UInt64 = 0
    /// Requests that went to another node, by its id.
    public var remoteRequests: [String: UInt64] = [:]
    /// Those of them that shared a session.
    public var sharedRequests: [String: UInt64] = [:]

    public init() {}
}

extension PrometheusText {
    public mutating func add(_ snapshot: UpstreamSnapshot) {
        begin("piko_upstreams_connected_upstreams", .gauge, "Tunnels connected to this node.")
        sample(snapshot.connectedUpstreams)
        begin("piko_upstreams_registered_endpoints", .gauge, "Endpoints that have a tunnel to this node.")
        sample(snapshot.registeredEndpoints)
        begin("piko_upstreams_upstream_requests_total", .counter, "Requests sent to tunnels of this node.")
        sample(snapshot.upstreamRequests)
        begin("piko_upstreams_remote_requests_total", .counter, "Requests sent to other nodes.")
        for (node, count) in snapshot.remoteRequests.sorted(by: { $0.key < $1.key }) { sample([("node_id", node)], count) }
        begin("piko_upstreams_shared_requests_total", .counter, "Requests sent to other nodes within a shared session.")
        for (node, count) in snapshot.sharedRequests.sorted(by: { $0.key < $1.key }) { sample([("node_id", node)], count) }
    }
}
