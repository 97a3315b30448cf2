// SPDX-License-Identifier: MIT
// The server's part of one loop: its listeners, its tunnels, its proxy.
// Loop-confined; other loops name it through the node's group.

import PikoClient
import PikoCore
import PikoEngine

/// Everything of a server node that lives on one loop.
final class ServerLoop: EndingLoop {
    let node: ServerNode
    let index: Int
    let loop: EventLoop
    let upstreamLog: Log
    /// Agents' connections that are no tunnels yet.
    let dials: UnfinishedDials
    private let overflow = Overflow()
    /// TCP connections under way.
    let residents = Residents()
    private(set) var tunnels: [UInt64: ServerTunnel] = [:]
    let metrics = ProxyMetrics()
    private(set) lazy var upstreams = TunnelUpstreams(server: self)
    private(set) lazy var otherNodes = NodePool(
        loop: loop, log: node.log.named("proxy"), tls: node.tls, streamsPerSession: node.tunnelSettings.maxStreams,
        faults: node.refusals.nodeFaults)
    private(set) lazy var memberSessions = MemberSessions(server: self)
    private(set) var isDraining = false
    private var listeners: [Listener] = []
    private lazy var membership = Membership(of: node.cluster, on: loop)
    private(set) lazy var departures = Departures(on: loop)
    /// Who may listen on endpoints here.
    private(set) lazy var upstreamGate = TokenGate(node.tokens.upstream, on: loop)

    private(set) lazy var proxy = makeProxy()

    /// How many dials of agents a loop may have: a node 1,024 on all of them, and each enough for a burst.
    private static func mostDials(loops: Int) -> Int { max(64, 1024 / loops) }

    init(node: ServerNode, index: Int) {
        self.node = node
        self.index = index
        loop = node.loops.members[index].loop
        upstreamLog = node.log.named("upstream")
        dials = UnfinishedDials(limit: Self.mostDials(loops: node.loops.count))
        residents.onEmpty = { [turnstile = node.turnstile] in turnstile.wake() }
        otherNodes.sessions.onEmpty = { [unowned self] in if isDraining { self.node.turnstile.wake() } }
        dials.onEmpty = { [unowned self] in if isDraining { node.turnstile.wake() } }
    }

    private func makeProxy() -> HTTPProxy {
        let log = node.log.named("proxy")
        let proxy = HTTPProxy(
            HTTPProxySettings(node.configuration, nodeID: node.id), loop: loop, index: index, provider: upstreams, log: log,
            metrics: metrics, accessLog: AccessLog(log: log, configuration: node.configuration.proxy.accessLog))
        proxy.tcpTunnels = self
        proxy.memberSessions = memberSessions
        proxy.loops = { [registry = node.registry] in registry.loops(of: $0, isHostName: $1) }
        proxy.gate = TokenGate(node.tokens.proxy, on: loop)
        proxy.membership = membership
        proxy.rates = node.rates
        proxy.heads = node.heads
        proxy.onConnectionEnd = { [unowned self] in clientDidEnd() }
        proxy.moveAway = { [unowned self] in move($0, $1, to: $2) }
        return proxy
    }

    /// What is new in the configuration holds for what begins from now on.
    func configure(_ configuration: ServerConfiguration) {
        proxy.configure(HTTPProxySettings(configuration, nodeID: node.id))
        proxy.accessLog?.configure(configuration.proxy.accessLog)
        upstreams.configure(configuration.proxy.loadBalancing)
    }

    private func move(_ moving: MovingConnection, _ arrival: ProxyArrival, to index: Int) -> Bool {
        node.loops.members[index].post { (server: ServerLoop) in server.proxy.land(moving, arrival) }
    }

    /// The status of another node changed; nil: it is known no more. What waits for a node that cannot be reached is given up.
    func nodeDidChange(_ id: String, _ status: NodeStatus?) {
        guard let gone = otherNodes.nodeDidChange(id, status) else { return }
        gone.failDials()
        proxy.giveUp(on: gone)
    }

    /// A client's connection, taken in with a place of the node, has ended.
    func clientDidEnd() {
        node.leave()
        if isDraining && busyCount == 0 { node.turnstile.wake() }
    }

    /// Takes agents at this address.
    func listenForUpstreams(at address: SocketAddress) throws(EngineError) {
        listeners.append(
            try Listener.listen(at: address, tls: node.tls.upstream?.source, on: loop) { [unowned self] in
                node.tls.upstream?.watch($0)
                acceptAgent($0)
            })
    }

    private func acceptAgent(_ connection: Connection) {
        switch dials.room(at: loop.now) {
        case .none:
            node.refusals.countUpstream(503)
            return overflow.turnAway(connection, 503, "too many dials at once")
        case .made: node.refusals.countUpstream(408)
        case .free: break
        }
        UpstreamHandshake.begin(connection, on: self)
    }

    /// Takes clients at this address.
    func listenForClients(at address: SocketAddress) throws(EngineError) {
        let patience = { [unowned proxy] in proxy.settings.handshakeTimeout }
        listeners.append(
            try Listener.listen(at: address, tls: node.tls.proxy?.source, handshakeTimeout: patience, on: loop) { [unowned self] in
                node.tls.proxy?.watch($0)
                acceptClient($0)
            })
    }

    private func acceptClient(_ connection: Connection) {
        guard node.enter() else {
            node.refusals.connections.add(1, ordering: .relaxed)
            return overflow.turnAway(connection, 503, "too many connections")
        }
        guard takePlace(connection) else {
            node.leave()
            node.refusals.connectionsOfClient.add(1, ordering: .relaxed)
            return overflow.turnAway(connection, 429, "too many connections from this address")
        }
        proxy.serve(connection)
    }

    /// Counts the connection among those of its client, where that has a limit. False at the limit. Nodes of the cluster have none.
    private func takePlace(_ connection: Connection) -> Bool {
        let limit = node.clientLimit
        guard limit > 0, let address = connection.peerAddress, !membership.includes(address) else { return true }
        guard let place = node.places.take(for: address.network, limit: limit) else { return false }
        connection.companion = place
        return true
    }

    /// Connections, of clients and agents, that were refused because no descriptor was left.
    var exhausted: UInt64 { listeners.refused }

    /// Joins a forward's WebSocket to a stream of a tunnel; both live on this loop.
    func join(_ downstream: Connection, _ upstream: Connection) {
        var relay: Relay?
        relay = Relay.join(downstream, upstream) { [self] in
            if $0.error == .protocolViolation { node.refusals.brokenClients.add(1, ordering: .relaxed) }
            if let relay { residents.leave(relay) }
            relay = nil
            clientDidEnd()
        }
        if let relay { residents.enter(relay) { [weak relay] in relay?.abort() } }
    }

    func didOpen(_ tunnel: ServerTunnel) {
        tunnels[tunnel.id.session] = tunnel
        if isDraining { tunnel.end() }
    }

    func didClose(_ tunnel: ServerTunnel, _ error: EngineError?) {
        node.refusals.agentFaults.count(endedBy: error)
        tunnels[tunnel.id.session] = nil
        if tunnels.isEmpty { node.turnstile.wake() }
    }

    /// The node is about to leave: no new tunnels, agents of ours are told to move, clients that their connection ends. The ports stay open.
    func drain() {
        isDraining = true
        proxy.drain()
        memberSessions.goAway()
        for tunnel in tunnels.values { tunnel.askToMove(.nodeLeaves) }
    }

    /// What comes to the ports from now on is refused by the system.
    func stopListening() {
        for listener in listeners { listener.close() }
        listeners = []
    }

    /// Original agents cannot be told to move: each tunnel is ended when its last stream has.
    func retireOriginals() {
        for tunnel in tunnels.values where !tunnel.speaksGoAway { departures.add(tunnel, patience: .max) }
    }

    /// Has so many tunnels move to other nodes, first those whose clients do not notice.
    func shed(_ count: Int) {
        let candidates = tunnels.values.filter(\.isSettled).map { (tunnel: $0, price: $0.speaksGoAway ? 0 : $0.streamCount + 1) }
        for (tunnel, _) in candidates.sorted(by: { $0.price < $1.price }).prefix(count) {
            if tunnel.speaksGoAway {
                tunnel.askToMove(.tooManyHere)
            } else {
                departures.add(tunnel, patience: node.configuration.gracePeriod.wholeMilliseconds)
            }
        }
    }

    /// What clients have under way.
    var busyCount: Int { residents.count + proxy.busyCount }

    /// Numbers for whoever decides how the node leaves.
    var load: ServerLoad {
        let idle = proxy.idleCount
        let upgraded = proxy.upgradedCount
        return ServerLoad(
            arrivals: proxy.arrivals, idle: idle, requests: proxy.busyCount - idle - upgraded, upgrades: upgraded,
            relays: residents.count, tunnels: tunnels.count)
    }

    /// Tunnels that serve and were not told to move.
    var settledCount: Int { tunnels.values.count { $0.isSettled } }

    /// Ends the tunnels, agents of ours politely, and cuts what is left.
    func end() {
        stopListening()
        dials.abortAll()
        residents.abortAll()
        proxy.abortAll()
        otherNodes.end()
        memberSessions.close()
        for tunnel in Array(tunnels.values) { tunnel.end() }
    }

    /// Cuts what did not end by itself.
    func cut() {
        dials.abortAll()
        residents.abortAll()
        proxy.abortAll()
        otherNodes.sessions.abort()
        memberSessions.abort()
        for tunnel in Array(tunnels.values) { tunnel.abort() }
    }

    /// Nothing is left on the loop but the state itself.
    var isEnded: Bool {
        tunnels.isEmpty && residents.count + dials.count + proxy.connectionCount == 0
            && otherNodes.sessions.count + memberSessions.count == 0
    }
}

/// What a loop of a server carries.
struct ServerLoad: Sendable {
    /// Clients that have sent a first request so far.
    var arrivals: UInt64 = 0
    /// Client connections between requests.
    var idle = 0
    var requests = 0
    /// WebSockets and whatever else HTTP was left for.
    var upgrades = 0
    /// TCP connections.
    var relays = 0
    var tunnels = 0

    var clients: Int { idle + requests + upgrades + relays }

    mutating func add(_ other: ServerLoad) {
        arrivals &+= other.arrivals
        idle += other.idle
        requests += other.requests
        upgrades += other.upgrades
        relays += other.relays
        tunnels += other.tunnels
    }
}

extension HTTPProxySettings {
    fileprivate init(_ server: ServerConfiguration, nodeID: String) {
        self.init(role: .server)
        self.nodeID = nodeID
        let configuration = server.proxy
        let http = configuration.http
        headLimits = HeadLimits(bytes: http.maxHeaderBytes)
        timeout = configuration.timeout.wholeMilliseconds
        readHeaderTimeout = http.readHeaderTimeout.wholeMilliseconds
        idleTimeout = http.idleTimeout.wholeMilliseconds
        drainIdleTimeout = max(1, min(drainIdleTimeout, server.gracePeriod.wholeMilliseconds / 2))
        readTimeout = http.readTimeout.wholeMilliseconds
        writeTimeout = http.writeTimeout.wholeMilliseconds
    }
}
