// SPDX-License-Identifier: MIT
// What all loops of a server node share: who it is, the configuration in effect, its table of tunnels, its counters.
// Any thread; holds no sockets.

import PikoCore
import PikoEngine
import Synchronization

/// A server node, as its loops see it.
final class ServerNode: Sendable {
    let id: String
    private let live: Mutex<ServerConfiguration>
    /// Of client connections, and of those of one client; read for each of them.
    private let connectionLimit: Atomic<Int>
    private let placesPerClient: Atomic<Int>
    let places = ClientPlaces()
    let rates: ClientRates
    let refusals = Refusals()
    /// What long heads of clients and upstreams may take.
    let heads = ByteBudget(bytes: HTTPProxy.mostHeads)
    let log: Log
    let loops: LoopGroup<ServerLoop>
    let registry: TunnelRegistry
    let cluster: Cluster
    let listeners = ListenerClaims()
    let turnstile: Turnstile
    let tokens: NodeTokens
    let tls: ServerTLS
    /// Client connections now.
    let connections = Atomic<Int>(0)
    /// Streams opened for requests and connections so far.
    let upstreamRequests = Atomic<UInt64>(0)
    /// Serving, and not about to leave.
    let isReady = Atomic<Bool>(false)
    /// Has joined its cluster, or is the first or only node of it.
    let hasCluster = Atomic<Bool>(false)
    /// The other nodes have heard that this one leaves.
    let hasLeft = Atomic<Bool>(false)

    init(
        configuration: ServerConfiguration, tokens: NodeTokens, tls: ServerTLS = ServerTLS(), log: Log, turnstile: Turnstile
    ) throws(EngineError) {
        self.tls = tls
        live = Mutex(configuration)
        connectionLimit = Atomic(configuration.proxy.limits.connections)
        placesPerClient = Atomic(configuration.proxy.limits.connectionsPerIP)
        rates = ClientRates(perSecond: configuration.proxy.limits.requestsPerSecondPerIP)
        self.log = log
        self.turnstile = turnstile
        self.tokens = tokens
        let name = configuration.cluster.nodeID
        id = name.isEmpty ? configuration.cluster.nodeIDPrefix + NodeName.random() : name
        cluster = Cluster(localID: id)
        loops = try LoopGroup(count: configuration.engine.loops, name: "piko")
        registry = TunnelRegistry(loops: loops.count, limit: configuration.upstream.limits.sessions)
    }

    /// What is in effect now: a copy.
    var configuration: ServerConfiguration { live.withLock { $0 } }

    /// Another configuration is in effect from now on. Only what is live in it may differ (ReloadPlan).
    func configure(_ configuration: ServerConfiguration) {
        live.withLock { $0 = configuration }
        connectionLimit.store(configuration.proxy.limits.connections, ordering: .relaxed)
        placesPerClient.store(configuration.proxy.limits.connectionsPerIP, ordering: .relaxed)
        rates.setLimit(perSecond: configuration.proxy.limits.requestsPerSecondPerIP)
        registry.setLimit(configuration.upstream.limits.sessions)
        loops.post { $0.configure(configuration) }
    }

    var tunnelSettings: TunnelSettings {
        var settings = TunnelSettings(isClient: false)
        let limit = configuration.upstream.limits.streamsPerSession
        settings.maxStreams = limit == 0 ? .max : UInt32(clamping: limit)
        return settings
    }

    /// Other nodes that are active.
    var otherNodes: [ClusterNode] { cluster.nodes.filter { $0.id != id && $0.status == .active } }

    /// Takes a place for a client connection. False at the limit. Given back with `leave`.
    func enter() -> Bool {
        let limit = connectionLimit.load(ordering: .relaxed)
        let count = connections.add(1, ordering: .relaxed).newValue
        if limit == 0 || count <= limit { return true }
        connections.subtract(1, ordering: .relaxed)
        return false
    }

    /// How many connections one client may have; 0: any number.
    var clientLimit: Int { placesPerClient.load(ordering: .relaxed) }

    func leave() { connections.subtract(1, ordering: .relaxed) }
}

/// Names for nodes that were given none.
enum NodeName {
    /// Seven lower-case letters and digits, as the original has them.
    static func random() -> String {
        let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789")
        return String((0..<7).map { _ in letters.randomElement()! })
    }
}
