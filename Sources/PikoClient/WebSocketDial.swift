// SPDX-License-Identifier: MIT
// Opens a WebSocket to a server: dials, sends the HTTP upgrade, reads the answer (RFC 6455 4.1). One attempt; whoever wants another makes
// another. Lives on the loop it dials on and keeps itself alive until its completion ran. Carries no payload.

import PikoCore
import PikoEngine

/// Where and how to open a WebSocket.
public struct WebSocketRequest: Sendable {
    public var url: ConfiguredURL
    /// Behind the URL's own path; begins with a slash.
    public var path: String
    /// Fields beyond those of the upgrade.
    public var fields: [(name: String, value: String)]
    /// Offer that an empty binary message ends one direction (between our own processes).
    public var offersHalfClose: Bool
    /// On the way to the server; nil: none.
    public var proxy: OutboundProxy?
    /// Milliseconds for the whole attempt.
    public var timeout: UInt64
    /// For a URL of https; nil: the system's roots.
    public var tls: TLSContext?
    /// The name that the server's certificate must have; nil: the URL's host.
    public var serverName: String?

    public init(
        url: ConfiguredURL, path: String, fields: [(name: String, value: String)] = [], offersHalfClose: Bool = false,
        proxy: OutboundProxy? = nil, timeout: UInt64
    ) {
        self.url = url
        self.path = path
        self.fields = fields
        self.offersHalfClose = offersHalfClose
        self.proxy = proxy
        self.timeout = timeout
    }
}

/// Why a server could not be reached or did not upgrade.
public enum DialFailure: Error, Sendable, CustomStringConvertible {
    /// Below HTTP: refused, timed out, no such name, reset.
    case transport(EngineError)
    /// The proxy on the way ("host:port") was not reached, or let us not through.
    case proxy(String, ProxyFailure)
    /// The server answered with another status; the text is its JSON body's `error`, or empty.
    case refused(status: Int, text: String)
    /// Not an answer a server of ours or of the original gives.
    case malformed(String)
    /// There is no token to send: what was expected of its file.
    case token(String)

    /// Worth another try even on the first dial (protocol.md, "Tunnel").
    public var isTransient: Bool {
        switch self {
        case .transport: true
        case .proxy(_, let failure): failure.isTransient
        case .refused(let status, _): [408, 429, 500, 502, 503, 504].contains(status)
        case .malformed, .token: false
        }
    }

    public var description: String {
        switch self {
        case .transport(let error): error.description
        case .proxy(let place, let failure): "proxy \(place): \(failure.text)"
        case .refused(let status, let text): text.isEmpty ? "status \(status)" : "status \(status): \(text)"
        case .malformed(let what): "unexpected answer: \(what)"
        case .token(let what): what
        }
    }
}

/// One attempt to open a WebSocket.
public final class WebSocketDial: ConnectionHandler {
    public typealias Completion = (Result<Connection, DialFailure>) -> Void

    private let loop: EventLoop
    private let request: WebSocketRequest
    private var completion: Completion?
    private var dialer: ServerDial?
    private var connection: Connection?
    /// Reaching the server has the same deadline by itself, and says better what was late.
    private var timer: Timer?
    private let deadline: UInt64
    private var key = ""
    private var answer = HandshakeAnswer()

    private init(_ request: WebSocketRequest, on loop: EventLoop, completion: @escaping Completion) {
        self.loop = loop
        self.request = request
        deadline = loop.now &+ max(request.timeout, 1)
        self.completion = completion
    }

    /// Who answered, as far as it has; settled when the completion runs.
    public var node: AnsweringNode { answer.node }

    /// The completion runs exactly once, never inside this call; the connection arrives open, as a WebSocket, without a handler.
    @discardableResult
    public static func dial(
        _ request: WebSocketRequest, on loop: EventLoop, completion: @escaping Completion
    ) -> WebSocketDial {
        let dial = WebSocketDial(request, on: loop, completion: completion)
        dial.start()
        return dial
    }

    /// Gives up; the completion does not run.
    public func cancel() {
        completion = nil
        settle()
        connection?.abort()
    }

    private func start() {
        let tls = request.url.scheme == .https ? request.tls ?? .systemRoots : nil
        dialer = ServerDial.dial(
            request.url.hostPort, through: request.proxy, tls: tls, serverName: request.serverName, timeout: request.timeout, on: loop
        ) { [self] in
            switch $0 {
            case .success(let connection): didConnect(connection)
            case .failure(let failure): fail(failure)
            }
        }
    }

    private func didConnect(_ connection: Connection) {
        dialer = nil
        self.connection = connection
        connection.handler = self
        timer = Timer(on: loop) { [unowned self] in fail(.transport(.timeout)) }
        timer?.arm(deadline > loop.now ? deadline - loop.now : 1)
        do throws(EngineError) {
            key = try WebSocketHandshake.makeKey()
        } catch {
            return fail(.transport(error))
        }
        connection.write(requestHead())
        connection.startReading()
    }

    private func requestHead() -> String {
        var head = "GET \(request.url.path)\(request.path) HTTP/1.1\r\nHost: \(request.url.authority)\r\n"
        for (name, value) in request.fields { head += "\(name): \(value)\r\n" }
        if request.offersHalfClose { head += "\(HandshakeAnswer.halfCloseField): 1\r\n" }
        return head
            + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: \(key)\r\nSec-WebSocket-Version: 13\r\n\r\n"
    }

    public func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int {
        guard completion != nil else { return bytes.count }
        switch answer.read(bytes, key: key) {
        case .needsMore: return 0
        case .failed(let failure):
            fail(failure)
            return bytes.count
        case .upgraded(let taken):
            upgrade(connection)
            return taken
        }
    }

    private func upgrade(_ connection: Connection) {
        let halfClose = request.offersHalfClose && answer.agreesToHalfClose
        do throws(EngineError) {
            let socket = try connection.upgradeToWebSocket(client: true, halfClose: halfClose)
            self.connection = nil
            finish(.success(socket))
        } catch {
            fail(.transport(error))
        }
    }

    public func connectionDidEnd(_ connection: Connection) { fail(answer.failureAtEnd) }

    public func connectionDidClose(_ connection: Connection, error: EngineError?) {
        self.connection = nil
        fail(.transport(error ?? .closed))
    }

    private func fail(_ failure: DialFailure) {
        connection?.abort()
        finish(.failure(failure))
    }

    private func finish(_ result: Result<Connection, DialFailure>) {
        let completion = self.completion
        self.completion = nil
        settle()
        completion?(result)
    }

    private func settle() {
        timer = nil
        dialer?.cancel()
        dialer = nil
    }
}
