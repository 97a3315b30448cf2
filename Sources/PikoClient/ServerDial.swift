// SPDX-License-Identifier: MIT
// Reaches a server, through an HTTP proxy where there is one: dials the proxy, has it connect (CONNECT), and begins TLS with the server inside.
// One attempt. Lives on the loop it dials on and keeps itself alive until its completion ran. What is said to the server is others'.

import PikoCore
import PikoEngine

/// One attempt to reach a server.
public final class ServerDial: ConnectionHandler {
    public typealias Completion = (Result<Connection, DialFailure>) -> Void

    private let loop: EventLoop
    private let target: HostPort
    private let proxy: OutboundProxy?
    private let tls: TLSContext?
    /// Whom the server's certificate must be for.
    private let serverName: String
    private let deadline: UInt64
    private var completion: Completion?
    private var dialer: Dialer?
    private var connection: Connection?
    private var timer: Timer?
    private var answer = ProxyAnswer()
    /// The proxy has let us through.
    private var isThrough = false

    private init(
        _ target: HostPort, _ proxy: OutboundProxy?, _ tls: TLSContext?, _ serverName: String?, _ timeout: UInt64, on loop: EventLoop,
        completion: @escaping Completion
    ) {
        self.loop = loop
        self.target = target
        self.proxy = proxy
        self.tls = tls
        self.serverName = serverName ?? target.host
        deadline = loop.now &+ max(timeout, 1)
        self.completion = completion
    }

    /// The completion runs exactly once, never inside this call; the connection arrives open, without a handler.
    /// - Parameters:
    ///   - proxy: nil: none.
    ///   - tls: with the server; nil: none.
    ///   - serverName: whom its certificate must be for; nil: the target's host.
    ///   - timeout: milliseconds for the whole attempt.
    @discardableResult
    public static func dial(
        _ target: HostPort, through proxy: OutboundProxy?, tls: TLSContext? = nil, serverName: String? = nil, timeout: UInt64,
        on loop: EventLoop, completion: @escaping Completion
    ) -> ServerDial {
        let dial = ServerDial(target, proxy, tls, serverName, timeout, on: loop, completion: completion)
        dial.start()
        return dial
    }

    /// Gives up; the completion does not run.
    public func cancel() {
        completion = nil
        settle()
        connection?.abort()
    }

    /// Milliseconds.
    private var left: UInt64 { deadline > loop.now ? deadline - loop.now : 1 }

    private func start() {
        let place = proxy.map { HostPort(host: $0.host, port: $0.port) } ?? target
        if proxy != nil {
            timer = Timer(on: loop) { [unowned self] in fail(.timeout) }
            timer?.arm(left)
        }
        let (context, name) = proxy.map { ($0.scheme == .https ? .systemRoots : nil, $0.host) } ?? (tls, serverName)
        dialer = Dialer.dial(host: place.host, port: place.port, timeout: left, tls: context, serverName: name, on: loop) { [self] in
            dialer = nil
            switch $0 {
            case .success(let connection): didConnect(connection)
            case .failure(let error): fail(error)
            }
        }
    }

    private func didConnect(_ connection: Connection) {
        guard let proxy else { return finish(.success(connection)) }
        self.connection = connection
        connection.handler = self
        connection.write(Self.head(target, proxy))
        connection.startReading()
    }

    private static func head(_ target: HostPort, _ proxy: OutboundProxy) -> String {
        // A zone says something on this machine only (RFC 6874 4).
        let place = HostPort(host: String(target.host.prefix { $0 != "%" }), port: target.port)
        let authorization = proxy.authorization.map { "Proxy-Authorization: \($0)\r\n" } ?? ""
        return "CONNECT \(place) HTTP/1.1\r\nHost: \(place)\r\nUser-Agent: piko\r\n\(authorization)\r\n"
    }

    public func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int {
        guard completion != nil else { return bytes.count }
        switch answer.read(bytes) {
        case .needsMore: return 0
        case .failed(let failure):
            fail(failure)
            return bytes.count
        case .open(let taken):
            isThrough = true
            didPass(connection)
            return taken
        }
    }

    private func didPass(_ connection: Connection) {
        connection.stopReading()
        guard let tls else { return arrive(connection) }
        do throws(EngineError) {
            self.connection = try connection.startTLS(tls, peer: serverName, timeout: left, handler: self)
        } catch {
            fail(error)
        }
    }

    /// TLS with the server is ready.
    public func connectionDidOpen(_ connection: Connection) {
        guard completion != nil else { return connection.abort() }
        arrive(connection)
    }

    private func arrive(_ connection: Connection) {
        connection.handler = nil
        self.connection = nil
        finish(.success(connection))
    }

    public func connectionDidEnd(_ connection: Connection) { fail(.truncated) }

    public func connectionDidClose(_ connection: Connection, error: EngineError?) {
        self.connection = nil
        fail(error ?? .closed)
    }

    /// Behind the proxy it is the server that fails.
    private func fail(_ error: EngineError) {
        if proxy != nil, !isThrough { return fail(.unreachable(error)) }
        connection?.abort()
        finish(.failure(.transport(error)))
    }

    private func fail(_ failure: ProxyFailure) {
        connection?.abort()
        finish(.failure(.proxy(proxy?.description ?? "", failure)))
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
