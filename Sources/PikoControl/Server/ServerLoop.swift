// SPDX-License-Identifier: MIT
// The server's part of one loop: its listeners, its tunnels, its proxy. Loop-confined; other loops name it through the node's group.

import PikoClient
import PikoCore
import PikoEngine

/// Everything of a server node that lives on one loop.
final class ServerLoop {
    let node: ServerNode
    let index: Int
    let loop: EventLoop
    let upstreamLog: Log
    /// Handshakes and relays under way.
    let residents = Residents()
    private(set) var tunnels: [UInt64: ServerTunnel] = [:]
    let metrics = ProxyMetrics()
    private(set) lazy var upstreams = TunnelUpstreams(server: self)
    private(set) var isDraining = false
    private var listeners: [Listener] = []

    init(node: ServerNode, index: Int) {
        self.node = node
        self.index = index
        loop = node.loops.members[index].loop
        upstreamLog = node.log.named("upstream")
        residents.onEmpty = { [turnstile = node.turnstile] in turnstile.wake() }
    }

    /// Takes agents at this address.
    func listenForUpstreams(at address: SocketAddress) throws(EngineError) {
        listeners.append(
            try Listener.listen(at: address, on: loop) { [unowned self] in UpstreamHandshake.begin($0, on: self) })
    }

    /// Takes clients at this address.
    func listenForClients(at address: SocketAddress) throws(EngineError) {
        listeners.append(try Listener.listen(at: address, on: loop) { $0.abort() })
    }

    /// Joins a forward's WebSocket to a stream of a tunnel; both live on this loop.
    func join(_ downstream: Connection, _ upstream: Connection) {
        var relay: Relay?
        relay = Relay.join(downstream, upstream) { [self] _ in
            if let relay { residents.leave(relay) }
            relay = nil
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
    }

    /// What clients have under way.
    var busyCount: Int { residents.count }

    /// Ends the tunnels, agents of ours politely, and cuts what is left.
    func end() {
        residents.abortAll()
        for tunnel in Array(tunnels.values) { tunnel.end() }
    }

    /// Cuts what did not end by itself.
    func cut() {
        residents.abortAll()
        for tunnel in Array(tunnels.values) { tunnel.abort() }
    }

    /// Nothing is left on the loop but the state itself.
    var isEnded: Bool { tunnels.isEmpty && residents.count == 0 }
}
