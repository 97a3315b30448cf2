// SPDX-License-Identifier: MIT
// One TCP connection through the node: a forward's WebSocket on the proxy port, joined to a stream of a tunnel. Lives on the tunnel's loop.
// The upgrade is answered once the agent has acknowledged the stream. Moves no byte itself: the relay's flows do.

import PikoClient
import PikoCore
import PikoEngine

/// From a checked upgrade request on `/_piko/v1/tcp/{endpoint}` to a relay. Held by its connections.
final class TCPTunnel: ConnectionHandler {
    /// What the answer needs of the request.
    struct Client: Sendable {
        let endpoint: String
        let key: String
        let offersHalfClose: Bool
        /// A member forwarded it: that node is told when no service has seen it.
        let isForwarded: Bool
        /// The request for another node, should this one's tunnels fail; nil where isForwarded.
        let fallback: CarriedRequest?
        var tried: [TunnelID] = []
        /// From loop to loop so far.
        var moves = 0
    }

    private enum State {
        case selecting
        /// A stream was opened, the agent has not acknowledged it yet.
        case opening
        case over
    }

    private static let attempts = 3
    /// Milliseconds from the request to the acknowledged stream.
    private static let patience: UInt64 = 10_000

    private let server: ServerLoop
    private let downstream: Connection
    private var client: Client
    private var upstream: Connection?
    private var current: TunnelID?
    private var state = State.selecting
    private var timer: Timer?

    private init(_ downstream: Connection, _ client: Client, on server: ServerLoop) {
        self.server = server
        self.downstream = downstream
        self.client = client
    }

    /// Takes over a client whose tunnel lives on this loop. Its head was taken; frames that follow are kept.
    static func takeOver(_ downstream: Connection, _ client: Client, selected: TunnelID?, on server: ServerLoop) -> TCPTunnelAnswer {
        let tunnel = TCPTunnel(downstream, client, on: server)
        switch tunnel.acquire(selected) {
        case .none(let error): return .none(error)
        case .elsewhere(let id): return .elsewhere(id)
        case .opened(let opened): tunnel.begin(with: opened)
        }
        tunnel.hold()
        return .taken
    }

    private func hold() {
        guard state != .over else { return }
        downstream.handler = self
        downstream.startReading()
        server.residents.enter(self) { [self] in abort() }
        timer = Timer(on: server.loop) { [unowned self] in refuse(.timeout) }
        timer?.arm(Self.patience)
    }

    private func acquire(_ selected: TunnelID?) -> TunnelAnswer {
        var request = UpstreamRequest(endpoint: client.endpoint, handler: self)
        request.selected = selected
        request.tried = client.tried
        return server.upstreams.acquireHere(request)
    }

    // MARK: The upstream

    private func begin(with opened: OpenedUpstream) {
        upstream = opened.connection
        current = opened.tunnel
        state = .opening
        if opened.isConfirmed { connectionDidOpen(opened.connection) }
    }

    /// The agent has the stream: answers the client and joins both sides.
    func connectionDidOpen(_ connection: Connection) {
        guard state == .opening, let upstream else { return }
        do throws(EngineError) {
            let answer = WebSocketUpgrade.answer(to: client.key, halfClose: client.offersHalfClose, node: server.node.id)
            guard downstream.write(answer) else { throw .closed }
            let socket = try downstream.upgradeToWebSocket(client: false, halfClose: client.offersHalfClose)
            leave()
            server.join(socket, upstream)
        } catch {
            abort()
        }
    }

    /// The stream was refused or its tunnel lost before anything was sent: another tunnel may have it.
    private func selectAgain() {
        upstream = nil
        if let current { client.tried.append(current) }
        guard client.tried.count < Self.attempts else { return forward(otherwise: .unreachable) }
        state = .selecting
        switch acquire(nil) {
        case .none(let error): forward(otherwise: client.tried.isEmpty || error != .noUpstreams ? error : .unreachable)
        case .elsewhere(let id): move(to: id)
        case .opened(let opened): begin(with: opened)
        }
    }

    /// No tunnel of this node took it: another node may have it, else the client is answered with the error.
    private func forward(otherwise error: ProxyError) {
        guard let fallback = client.fallback, server.upstreams.hasOtherNode(for: client.endpoint) else { return refuse(error) }
        leave()
        server.proxy.takeBack(downstream, fallback)
    }

    private func move(to id: TunnelID) {
        leave()
        Self.send(downstream, client, to: id, from: server)
    }

    private static func send(_ downstream: Connection, _ client: Client, to id: TunnelID, from server: ServerLoop) {
        var client = client
        client.moves += 1
        do throws(EngineError) {
            let moving = try downstream.detach(extra: UnsafeRawBufferPointer(start: nil, count: 0))
            server.node.loops.members[id.loop].post { [client] (server: ServerLoop) in
                TCPTunnel.land(moving, client, selected: id, on: server)
            }
        } catch {
            downstream.abort()
            server.clientDidEnd()
        }
    }

    private static func land(_ moving: MovingConnection, _ client: Client, selected: TunnelID, on server: ServerLoop) {
        guard let connection = try? moving.land(on: server.loop, handler: Nobody()) else { return server.clientDidEnd() }
        var refusal = ProxyError.unreachable
        switch takeOver(connection, client, selected: selected, on: server) {
        case .taken: return
        case .elsewhere(let id) where client.moves < attempts: return send(connection, client, to: id, from: server)
        case .elsewhere, .otherNode: break
        case .none(let error): refusal = error
        }
        if let fallback = client.fallback, server.upstreams.hasOtherNode(for: client.endpoint) {
            return server.proxy.takeBack(connection, fallback)
        }
        server.node.refusals.countClient(refusal.status)
        connection.end(answering: refusal, isForwarded: client.isForwarded)
        server.clientDidEnd()
    }

    // MARK: Ends

    /// The client is answered with an error and closed.
    private func refuse(_ error: ProxyError) {
        finish()
        upstream?.abort()
        upstream = nil
        server.node.refusals.countClient(error.status)
        downstream.end(answering: error, isForwarded: client.isForwarded)
    }

    func abort() {
        upstream?.abort()
        upstream = nil
        downstream.abort()
    }

    /// Frames that come before the answer wait.
    func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int { 0 }

    func connectionDidEnd(_ connection: Connection) {
        if connection === downstream { abort() }
    }

    func connectionDidClose(_ connection: Connection, error: EngineError?) {
        if connection === downstream {
            upstream?.abort()
            upstream = nil
            finish()
        } else if connection === upstream, state == .opening {
            selectAgain()
        }
    }

    /// The client's connection is over.
    private func finish() {
        guard state != .over || timer != nil else { return }
        leave()
        server.clientDidEnd()
    }

    /// It goes on elsewhere.
    private func leave() {
        state = .over
        timer = nil
        server.residents.leave(self)
    }
}

/// Holds the place of a handler.
private final class Nobody: ConnectionHandler {
    func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int { bytes.count }
    func connectionDidClose(_ connection: Connection, error: EngineError?) {}
}

extension Connection {
    /// Answers with an error and ends; nothing more is heard of it.
    fileprivate func end(answering error: ProxyError, isForwarded: Bool) {
        handler = Nobody()
        write(answering: error.status, text: error.text, isRefusal: isForwarded && error.reachedNoService)
        close()
    }
}

extension ServerLoop: TCPTunnelHook {
    func takeOver(_ connection: Connection, _ request: TCPTunnelRequest) -> TCPTunnelAnswer {
        let client = TCPTunnel.Client(
            endpoint: request.endpoint, key: WebSocketUpgrade.key(of: request.head),
            offersHalfClose: request.head.fields.value(named: "x-piko-half-close") != nil,
            isForwarded: request.localOnly, fallback: request.fallback)
        var wish = UpstreamRequest(endpoint: request.endpoint, handler: Nobody())
        wish.localOnly = request.localOnly
        wish.selected = request.selected
        if upstreams.isTurnOfOthers(wish) { return .otherNode }
        let answer = TCPTunnel.takeOver(connection, client, selected: request.selected, on: self)
        guard case .none = answer, !request.localOnly, upstreams.hasOtherNode(for: request.endpoint) else { return answer }
        return .otherNode
    }
}
