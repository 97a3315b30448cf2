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
    /// Handshakes and relays under way.
    let residents = Residents()
    private(set) var tunnels: [UInt64: ServerTunnel] = [:]
    let metrics = ProxyMetrics()
    private(set) lazy var upstreams = TunnelUpstreams(server: self)
    private(set) lazy var otherNodes = NodePool(loop: loop, log: node.log.named("proxy"))
    private(set) var isDraining = false
    private var listeners: [Listener] = []

    private(set) lazy var proxy = makeProxy()

    init(node: ServerNode, index: Int) {
        self.node = node
        self.index = index
        loop = node.loops.members[index].loop
        upstreamLog = node.log.named("upstream")
        residents.onEmpty = { [turnstile = node.turnstile] in turnstile.wake() }
    }

    private func makeProxy() -> HTTPProxy {
        let log = node.log.named("proxy")
        let proxy = HTTPProxy(
            HTTPProxySettings(node.configuration.proxy, nodeID: node.id), loop: loop, index: index, provider: upstreams, log: log,
            metrics: metrics, accessLog: AccessLog(log: log, configuration: node.configuration.proxy.accessLog))
        proxy.tcpTunnels = self
        proxy.membership = Membership(of: node.cluster, on: loop)
        proxy.onConnectionEnd = { [unowned self] in clientDidEnd() }
        proxy.moveAway = { [unowned self] in move($0, $1, to: $2) }
        return proxy
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
            try Listener.listen(at: address, on: loop) { [unowned self] in UpstreamHandshake.begin($0, on: self) })
    }

    /// Takes clients at this address.
    func listenForClients(at address: SocketAddress) throws(EngineError) {
        listeners.append(try Listener.listen(at: address, on: loop) { [unowned self] in acceptClient($0) })
    }

    private func acceptClient(_ connection: Connection) {
        if node.enter() { proxy.serve(connection) } else { refuse(connection) }
    }

    /// There is no room: a bare answer that costs nothing more.
    private func refuse(_ connection: Connection) {
        node.refused.add(1, ordering: .relaxed)
        connection.write(answering: 503, text: "too many connections")
        connection.close()
    }

    /// Joins a forward's WebSocket to a stream of a tunnel; both live on this loop.
    func join(_ downstream: Connection, _ upstream: Connection) {
        var relay: Relay?
        relay = Relay.join(downstream, upstream) { [self] _ in
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

    func didClose(_ tunnel: ServerTunnel) {
        tunnels[tunnel.id.session] = nil
        if tunnels.isEmpty { node.turnstile.wake() }
    }

    /// Accepts no more; what runs goes on.
    func drain() {
        isDraining = true
        for listener in listeners { listener.close() }
        listeners = []
        proxy.drain()
    }

    /// What clients have under way.
    var busyCount: Int { residents.count + proxy.busyCount }

    /// Ends the tunnels, agents of ours politely, and cuts what is left.
    func end() {
        residents.abortAll()
        proxy.abortAll()
        otherNodes.drain()
        for tunnel in Array(tunnels.values) { tunnel.end() }
    }

    /// Cuts what did not end by itself.
    func cut() {
        residents.abortAll()
        proxy.abortAll()
        for tunnel in Array(tunnels.values) { tunnel.abort() }
    }

    /// Nothing is left on the loop but the state itself.
    var isEnded: Bool { tunnels.isEmpty && residents.count + proxy.connectionCount == 0 }
}

extension HTTPProxySettings {
    fileprivate init(_ configuration: ProxyConfiguration, nodeID: String) {
        self.init(role: .server)
        self.nodeID = nodeID
        let http = configuration.http
        headLimits = HeadLimits(bytes: http.maxHeaderBytes)
        timeout = configuration.timeout.wholeMilliseconds
        readHeaderTimeout = http.readHeaderTimeout.wholeMilliseconds
        idleTimeout = http.idleTimeout.wholeMilliseconds
        readTimeout = http.readTimeout.wholeMilliseconds
        writeTimeout = http.writeTimeout.wholeMilliseconds
    }
}
