// SPDX-License-Identifier: MIT
// One TCP connection through the node: a forward's WebSocket on the proxy port, joined to a stream of a tunnel. Lives on the tunnel's loop:
// the client's connection moves there before its upgrade is answered. Moves no byte itself: the relay's flows do.

import PikoClient
import PikoCore
import PikoEngine

/// From an upgrade request on `/_piko/v1/tcp/{endpoint}` to a relay. Held by its connections.
final class TCPTunnel: ConnectionHandler, UpstreamReceiver {
    private enum State {
        /// The head is wanted: none was read, or the upstream chosen before was gone.
        case reading
        /// A stream was opened, the agent has not acknowledged it yet.
        case opening
        /// It has: the next read of the head is answered.
        case ready
        case over
    }

    static let prefix = "/_piko/v1/tcp/"
    private static let attempts = 3
    /// Milliseconds from the head to the acknowledged stream.
    private static let patience: UInt64 = 10_000

    private let server: ServerLoop
    private let downstream: Connection
    private var upstream: Connection?
    private var state = State.reading
    private var selected: TunnelID?
    private var tried: [TunnelID] = []
    private var current: TunnelID?
    private var head = RequestHead(limits: HeadLimits(bytes: 64 * 1024, fields: 128))
    private var timer: Timer?

    private init(_ downstream: Connection, on server: ServerLoop, selected: TunnelID?) {
        self.server = server
        self.downstream = downstream
        self.selected = selected
    }

    /// Takes over a connection whose request head, still unread, asks for this. Call it with nothing of the head taken.
    static func begin(_ downstream: Connection, on server: ServerLoop) { start(downstream, on: server, selected: nil) }

    private static func start(_ downstream: Connection, on server: ServerLoop, selected: TunnelID?) {
        let tunnel = TCPTunnel(downstream, on: server, selected: selected)
        downstream.handler = tunnel
        server.residents.enter(tunnel) { tunnel.abort() }
        tunnel.timer = Timer(on: server.loop) { [unowned tunnel] in tunnel.fail(.timeout) }
        tunnel.timer?.arm(patience)
        downstream.startReading()
        downstream.resume()
    }

    // MARK: The client's head

    func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int {
        guard connection === downstream else { return 0 }
        switch state {
        case .opening: return 0
        case .over: return bytes.count
        case .ready: return join(bytes)
        case .reading: return read(bytes)
        }
    }

    private func read(_ bytes: UnsafeRawBufferPointer) -> Int {
        var scanner = HeadScanner()
        guard case .head(let count) = scanner.next(bytes) else { return 0 }
        guard head.parse(UnsafeRawBufferPointer(rebasing: bytes[..<count])) == nil, let endpoint = Self.endpoint(of: head) else {
            refuse(.notFound)
            return bytes.count
        }
        guard WebSocketUpgrade.isRequested(by: head) else {
            refuse(.upgradeRequired)
            return bytes.count
        }
        return select(endpoint, bytes)
    }

    /// The endpoint named by the path; nil for any other path.
    static func endpoint(of head: RequestHead) -> String? {
        let path = head.pathAndQuery.prefix { $0 != UInt8(ascii: "?") }
        guard path.starts(with: prefix.utf8) else { return nil }
        let segment = path.dropFirst(prefix.utf8.count)
        guard !segment.isEmpty, !segment.contains(UInt8(ascii: "/")) else { return nil }
        return PercentEncoding.decode(segment).map { String(decoding: $0, as: UTF8.self) }
    }

    private func select(_ endpoint: String, _ bytes: UnsafeRawBufferPointer) -> Int {
        guard tried.count < Self.attempts else {
            refuse(.unreachable)
            return bytes.count
        }
        var request = UpstreamRequest(endpoint: endpoint, handler: self)
        (request.selected, request.tried, selected) = (selected, tried, nil)
        switch server.upstreams.acquire(request, for: self) {
        case .opened(let opened): upstreamDidOpen(opened)
        case .pending: state = .opening
        case .none(let error):
            refuse(error)
            return bytes.count
        case .elsewhere(let id):
            move(to: id, bytes)
            return bytes.count
        }
        return 0
    }

    // MARK: The upstream

    func upstreamDidOpen(_ opened: OpenedUpstream) {
        upstream = opened.connection
        current = opened.tunnel
        state = .opening
        if opened.isConfirmed { connectionDidOpen(opened.connection) }
    }

    func upstreamDidFail(_ error: ProxyError) { refuse(error) }

    func connectionDidOpen(_ connection: Connection) {
        guard state == .opening else { return }
        state = .ready
        downstream.resume()
    }

    /// Answers the upgrade and joins both sides; the head is taken, what follows are frames.
    private func join(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let upstream else { return bytes.count }
        let halfClose = head.fields.value(named: "x-piko-half-close") != nil
        do throws(EngineError) {
            guard WebSocketUpgrade.accept(head, on: downstream, halfClose: halfClose, node: server.node.id) else {
                throw .closed
            }
            let socket = try downstream.upgradeToWebSocket(client: false, halfClose: halfClose)
            finish()
            server.join(socket, upstream)
            return head.byteCount
        } catch {
            abort()
            return bytes.count
        }
    }

    private func move(to id: TunnelID, _ bytes: UnsafeRawBufferPointer) {
        finish()
        do throws(EngineError) {
            let moving = try downstream.detach(extra: bytes)
            server.node.loops.members[id.loop].post { (server: ServerLoop) in TCPTunnel.land(moving, on: server, selected: id) }
        } catch {
            downstream.abort()
        }
    }

    private static func land(_ moving: MovingConnection, on server: ServerLoop, selected: TunnelID) {
        guard let connection = try? moving.land(on: server.loop, handler: Nobody()) else { return }
        start(connection, on: server, selected: selected)
    }

    // MARK: Ends

    /// The client is answered with an error; it may still read it while what it sends is dropped.
    private func refuse(_ error: ProxyError) {
        state = .over
        upstream?.abort()
        upstream = nil
        downstream.write(answering: error.status, text: error.text)
        downstream.shut()
        timer?.arm(1000)
    }

    private func fail(_ error: ProxyError) {
        if state == .over { downstream.abort() } else { refuse(error) }
    }

    func abort() {
        upstream?.abort()
        downstream.abort()
    }

    func connectionDidEnd(_ connection: Connection) {
        guard connection === downstream else { return }
        if state == .over { downstream.close() } else { abort() }
    }

    func connectionDidClose(_ connection: Connection, error: EngineError?) {
        if connection === downstream {
            upstream?.abort()
            return finish()
        }
        guard connection === upstream, state == .opening || state == .ready else { return }
        upstream = nil
        if let current { tried.append(current) }
        state = .reading
        downstream.resume()
    }

    private func finish() {
        state = .over
        timer = nil
        upstream = nil
        server.residents.leave(self)
    }
}

/// Holds the place of a handler for a moment.
private final class Nobody: ConnectionHandler {
    func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int { 0 }
    func connectionDidClose(_ connection: Connection, error: EngineError?) {}
}
