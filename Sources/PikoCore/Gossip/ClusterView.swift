// SPDX-License-Identifier: MIT
// The cluster as the router and the admin API see it: who is there, what each node serves, and which node a request goes to.
// A value without clock or sockets, kept up to date by the changes that Gossip names; PikoControl guards it with a lock that is
// held for one look-up or one change.

/// Whether a node can be forwarded to.
public enum NodeStatus: String, Sendable {
    case active, unreachable, left
}

/// What has changed in the cluster.
public enum ClusterChange: Equatable, Sendable {
    /// A node is known; it has no addresses yet.
    case added(id: String)
    case removed(id: String)
    case status(id: String, NodeStatus)
    case proxyAddress(id: String, String)
    case adminAddress(id: String, String)
    /// Listeners of an endpoint on a node; 0: no more.
    case endpoint(id: String, endpoint: String, listeners: Int)
}

/// One node of the cluster.
public struct ClusterNode: Equatable, Sendable {
    public let id: String
    public internal(set) var status = NodeStatus.active
    public internal(set) var proxyAddress = ""
    public internal(set) var adminAddress = ""
    /// Listeners by endpoint, never 0.
    public internal(set) var endpoints: [String: Int] = [:]

    /// Listeners of all endpoints.
    public var upstreamCount: Int { endpoints.values.reduce(0, +) }
    /// A node is shown once both addresses are known.
    public var isComplete: Bool { !proxyAddress.isEmpty && !adminAddress.isEmpty }
}

/// The nodes of the cluster and where each endpoint is.
public struct ClusterView: Sendable {
    public let localID: String
    private var known: [String: ClusterNode] = [:]
    /// Nodes that have an endpoint, whatever their status.
    private var holders: [String: [String]] = [:]
    private var folded = FoldedNames()

    public init(localID: String) { self.localID = localID }

    /// The nodes whose addresses are known, this one included, by id.
    public var nodes: [ClusterNode] { known.values.filter(\.isComplete).sorted { $0.id < $1.id } }

    /// A node whose addresses are known.
    public func node(_ id: String) -> ClusterNode? { known[id].flatMap { $0.isComplete ? $0 : nil } }

    /// Takes a change. One of a node that is not there changes nothing.
    public mutating func apply(_ change: ClusterChange) {
        switch change {
        case .added(let id): if known[id] == nil { known[id] = ClusterNode(id: id) }
        case .removed(let id): remove(id)
        case .status(let id, let status): known[id]?.status = status
        case .proxyAddress(let id, let address): known[id]?.proxyAddress = address
        case .adminAddress(let id, let address): known[id]?.adminAddress = address
        case .endpoint(let id, let endpoint, let listeners): set(id, endpoint, listeners)
        }
    }

    private mutating func remove(_ id: String) {
        guard let node = known.removeValue(forKey: id) else { return }
        for endpoint in node.endpoints.keys { release(endpoint, id) }
    }

    private mutating func set(_ id: String, _ endpoint: String, _ listeners: Int) {
        guard let had = known[id].map({ $0.endpoints[endpoint] != nil }) else { return }
        known[id]?.endpoints[endpoint] = listeners > 0 ? listeners : nil
        if listeners > 0, !had { hold(endpoint, id) }
        if listeners <= 0, had { release(endpoint, id) }
    }

    private mutating func hold(_ endpoint: String, _ id: String) {
        if holders[endpoint] == nil { folded.add(endpoint) }
        holders[endpoint, default: []].append(id)
    }

    private mutating func release(_ endpoint: String, _ id: String) {
        holders[endpoint]?.removeAll { $0 == id }
        guard holders[endpoint]?.isEmpty == true else { return }
        holders[endpoint] = nil
        folded.remove(endpoint)
    }

    /// Listeners of an endpoint on other nodes that can be forwarded to.
    /// - Parameters:
    ///   - isHostName: as in UpstreamTable.select.
    ///   - tried: ids of nodes that have failed this request.
    public func remoteListeners(_ endpoint: String, isHostName: Bool = false, excluding tried: [String] = []) -> Int {
        guard let (endpoint, ids) = candidates(endpoint, isHostName) else { return 0 }
        return ids.reduce(0) { tried.contains($1) ? $0 : $0 &+ weight($1, endpoint) }
    }

    /// Another node that has an endpoint, each as likely as it has listeners. nil when there is none. Parameters as above.
    public func select(
        endpoint: String, isHostName: Bool = false, excluding tried: [String] = [],
        using random: inout some RandomNumberGenerator
    ) -> ClusterNode? {
        guard let (endpoint, ids) = candidates(endpoint, isHostName) else { return nil }
        var choice: ClusterNode?
        var total = 0
        for id in ids where !tried.contains(id) {
            guard let node = known[id] else { continue }
            let weight = weight(node, endpoint)
            total &+= weight
            // Each takes the place of those before it as often as its share of the listeners so far.
            if weight > 0, Int.random(in: 0..<total, using: &random) < weight { choice = node }
        }
        return choice
    }

    /// The endpoint's own spelling, and the nodes that have it, whatever their status.
    private func candidates(_ endpoint: String, _ isHostName: Bool) -> (endpoint: String, ids: [String])? {
        if let ids = holders[endpoint] { return (endpoint, ids) }
        guard isHostName, let meant = folded.meant(by: endpoint) else { return nil }
        return holders[meant].map { (meant, $0) }
    }

    /// Bounded, for a peer says it: no sum of these overflows.
    private func weight(_ id: String, _ endpoint: String) -> Int { known[id].map { weight($0, endpoint) } ?? 0 }

    private func weight(_ node: ClusterNode, _ endpoint: String) -> Int {
        guard node.id != localID, node.status == .active, node.isComplete else { return 0 }
        return min(node.endpoints[endpoint] ?? 0, 1 << 24)
    }
}
