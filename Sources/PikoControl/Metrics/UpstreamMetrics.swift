// SPDX-License-Identifier: MIT
// What a node counts about its selections, for one loop. Plain integers, touched on that loop only; read as a snapshot.
// How many tunnels and endpoints there are is known by the table of upstreams, not counted here.

/// The counters of one loop's selections.
public final class UpstreamMetrics {
    private var counted = UpstreamSnapshot()

    public init() {}

    /// A request went to a tunnel of this node.
    public func selectedLocal() { counted.upstreamRequests &+= 1 }

    /// A request went to another node.
    public func selectedRemote(nodeID: String) { counted.remoteRequests[nodeID, default: 0] &+= 1 }

    public var snapshot: UpstreamSnapshot { counted }
}

/// What one loop, or several together, have counted, and what the table says. Any thread.
public struct UpstreamSnapshot: Equatable, Sendable {
    /// Tunnels now. Of the table; filled by whoever gathers.
    public var connectedUpstreams = 0
    /// Endpoints that have a tunnel now. Of the table; filled by whoever gathers.
    public var registeredEndpoints = 0
    public var upstreamRequests: UInt64 = 0
    public var remoteRequests: [String: UInt64] = [:]

    public init() {}

    public mutating func add(_ other: UpstreamSnapshot) {
        connectedUpstreams += other.connectedUpstreams
        registeredEndpoints += other.registeredEndpoints
        upstreamRequests &+= other.upstreamRequests
        remoteRequests.merge(other.remoteRequests, uniquingKeysWith: &+)
    }
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
    }
}
