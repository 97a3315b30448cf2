// SPDX-License-Identifier: MIT
// The connections of one loop to the other nodes' proxy ports, kept and reused: one pool for each node, and sessions beside it. Loop-confined.
// It follows what is known of the nodes and decides nothing about requests.

import PikoCore
import PikoEngine

extension ServerNode {
    /// Tells all loops what a change means for their connections to other nodes. After the view has it; any thread.
    func clusterDidChange(_ change: ClusterChange) {
        switch change {
        case .status(let id, let status): loops.post { $0.nodeDidChange(id, status) }
        case .removed(let id): loops.post { $0.nodeDidChange(id, nil) }
        default: break
        }
    }
}

/// Pools to the other nodes.
final class NodePool {
    /// Milliseconds. Nodes are near each other: one that does not answer within a second is tried no longer while others wait.
    static let dialTimeout: UInt64 = 1000
    /// Milliseconds. Below half of what a node of ours or of the original grants, so that it is hardly ever the other end that closes.
    static let idleTimeout: UInt64 = 60_000
    /// Idle connections to one node.
    static let mostIdle = 256

    /// Milliseconds that a node is not tried again whose TLS does not fit ours.
    private static let unfitTime: UInt64 = 5_000

    private struct Entry {
        let address: String
        /// nil: the address is none.
        let pool: ConnectionPool?
    }

    private let loop: EventLoop
    private let log: Log
    /// nil: other nodes speak plain text.
    private let tls: TLSIdentity?
    private let sessionSettings: TunnelSettings
    /// All that have not closed yet.
    let sessions: NodeSessionResidents
    private var entries: [String: Entry] = [:]
    /// Until when a node is not tried, in the loop's milliseconds.
    private var unfit: [String: UInt64] = [:]
    /// Times that a node turned out to be unfit, on all loops.
    private let unfitCount: TLSCounter
    /// Requests of pools that are no more, until their node is forgotten.
    private var earlier: [String: UInt64] = [:]
    private var earlierShared: [String: UInt64] = [:]

    /// - Parameter streamsPerSession: how many requests may share a session with another node at once.
    init(loop: EventLoop, log: Log, tls: ServerTLS, streamsPerSession: UInt32, faults: SessionFaults) {
        self.loop = loop
        self.log = log
        self.tls = tls.nodes
        unfitCount = tls.unfitNodes
        sessions = NodeSessionResidents(on: loop, faults: faults)
        var settings = TunnelSettings(isClient: true)
        settings.maxStreams = streamsPerSession
        settings.peerServesLate = true
        sessionSettings = settings
    }

    /// The pool to a node. nil: its address is none that can be dialled.
    func pool(to node: ClusterNode) -> ConnectionPool? {
        if let entry = entries[node.id], entry.address == node.proxyAddress { return entry.pool }
        close(node.id)
        let pool = makePool(node)
        entries[node.id] = Entry(address: node.proxyAddress, pool: pool)
        return pool
    }

    private func makePool(_ node: ClusterNode) -> ConnectionPool? {
        guard let place = HostPort(node.proxyAddress), !place.host.isEmpty, place.port != 0 else {
            log.peer(.warn, "node without a usable address") {
                $0.add("node_id", node.id)
                $0.add("addr", node.proxyAddress)
            }
            return nil
        }
        var settings = ConnectionPoolSettings(
            host: place.host, port: place.port, dialTimeout: Self.dialTimeout, idleTimeout: Self.idleTimeout,
            mostIdle: Self.mostIdle)
        settings.node = node.id
        settings.tls = tls
        let pool = ConnectionPool(settings, loop: loop, log: log)
        pool.onTLSFailure = { [weak self] in self?.isUnfit(node.id) }
        pool.sessions = NodeSessions(to: node.id, at: place, tls: tls, settings: sessionSettings, residents: sessions, log: log)
        return pool
    }

    /// Nodes that get no request now, whatever tunnels they have: their certificate is not one we trust, or ours none they trust. New files on
    /// either side may end that at any time, so one request a while finds out.
    var unfitNodes: [String] {
        if unfit.isEmpty { return [] }
        unfit = unfit.filter { $0.value > loop.now }
        return Array(unfit.keys)
    }

    private func isUnfit(_ id: String) {
        unfit[id] = loop.now &+ Self.unfitTime
        unfitCount.add()
    }

    /// Requests sent to each node.
    var requests: [String: UInt64] {
        var sum = earlier
        for (id, entry) in entries { sum[id, default: 0] += entry.pool?.allUses ?? 0 }
        return sum
    }

    /// Those of them that were streams of a session.
    var sharedRequests: [String: UInt64] {
        var sum = earlierShared
        for (id, entry) in entries { sum[id, default: 0] += entry.pool?.sessions?.uses ?? 0 }
        return sum
    }

    /// The status of a node changed; nil: it is known no more.
    /// - Returns: its pool, where nobody answers behind it any more.
    func nodeDidChange(_ id: String, _ status: NodeStatus?) -> ConnectionPool? {
        let pool = entries[id]?.pool
        switch status {
        case .active: return nil
        case .left:
            // It finishes what it has, and is not asked again.
            close(id)
            return nil
        case .unreachable:
            pool?.closeIdle()
            pool?.sessions?.retire()
        case nil:
            close(id)
            earlier[id] = nil
            earlierShared[id] = nil
        }
        return pool
    }

    private func close(_ id: String) {
        guard let pool = entries.removeValue(forKey: id)?.pool else { return }
        pool.drain()
        pool.sessions?.drain()
        earlier[id, default: 0] += pool.allUses
        earlierShared[id, default: 0] += pool.sessions?.uses ?? 0
    }

    /// Ends the idle connections and the sessions, and keeps none from now on.
    func end() {
        for entry in entries.values {
            entry.pool?.drain()
            entry.pool?.sessions?.drain()
        }
        sessions.close()
    }
}

extension ConnectionPool {
    /// Requests that went to the place, over connections and sessions.
    fileprivate var allUses: UInt64 { uses &+ (sessions?.uses ?? 0) }
}
