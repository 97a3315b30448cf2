// SPDX-License-Identifier: MIT
// Outgoing TCP connections: to a numeric address at once, to a name after the system's resolver answered, trying its addresses in turn.
// TLS where it is asked for.
// Runs on the loop it dials for. It speaks no protocol.

internal import CUV

extension Connection {
    /// Dials a numeric address. The handler hears connectionDidOpen, or connectionDidClose with the reason.
    /// Writes before the opening are queued. `timeout` in milliseconds, 0: the system's patience.
    /// - Throws: when no descriptor is left.
    public static func dial(
        _ address: SocketAddress, timeout: UInt64, on loop: EventLoop, handler: any ConnectionHandler
    ) throws(EngineError) -> Connection {
        loop.assertCurrent()
        let connection = Connection(loop: loop, handler: handler)
        var raw = address.raw
        var error: Int32 = 0
        guard let stream = cuv_tcp_dial(loop.raw, &raw, timeout, ownerTable, connection.retainForC(), &error) else {
            connection.releaseFromC()
            throw EngineError(code: error)
        }
        connection.adopt(stream)
        return connection
    }
}

/// One attempt to reach a host and port. Keeps itself alive until its completion ran, exactly once, never inside `start`.
public final class Dialer: ConnectionHandler {
    private let loop: EventLoop
    private let deadline: UInt64
    private let tls: (context: TLSContext, peer: String)?
    private var remaining: [SocketAddress] = []
    private var completion: ((Result<Connection, EngineError>) -> Void)?
    private var current: Connection?
    private var resolver: Resolver?
    /// Runs while the name is asked for.
    private var timer: Timer?
    private var isCancelled = false

    private init(
        loop: EventLoop, timeout: UInt64, tls: (TLSContext, String)?,
        completion: @escaping (Result<Connection, EngineError>) -> Void
    ) {
        self.loop = loop
        self.tls = tls
        self.deadline = timeout == 0 ? .max : loop.now &+ timeout
        self.completion = completion
    }

    /// Dials `host` (a name or a numeric address, no brackets). `timeout` in milliseconds for the whole attempt, 0: none of ours.
    /// The connection arrives open, without a handler: set one inside the completion. With `tls` it arrives after its handshake, the peer
    /// being `serverName`, or `host` where that is nil; without a timeout the handshake has 10 s.
    @discardableResult
    public static func dial(
        host: String, port: UInt16, timeout: UInt64, tls: TLSContext? = nil, serverName: String? = nil, on loop: EventLoop,
        completion: @escaping (Result<Connection, EngineError>) -> Void
    ) -> Dialer {
        loop.assertCurrent()
        let dialer = Dialer(loop: loop, timeout: timeout, tls: tls.map { ($0, serverName ?? host) }, completion: completion)
        dialer.resolve(host, port, timeout)
        return dialer
    }

    private func resolve(_ host: String, _ port: UInt16, _ timeout: UInt64) {
        resolver = Resolver.resolve(host: host, port: port, on: loop) { [self] in didResolve($0) }
        guard timeout > 0, SocketAddress(host: host, port: port) == nil else { return }
        timer = Timer(on: loop) { [unowned self] in nameIsLate() }
        timer?.arm(timeout)
    }

    private func nameIsLate() {
        timer = nil
        resolver?.cancel()
        resolver = nil
        finish(.failure(.timeout))
    }

    /// Gives up; the completion does not run.
    public func cancel() {
        isCancelled = true
        completion = nil
        timer = nil
        resolver?.cancel()
        resolver = nil
        current?.abort()
    }

    private func didResolve(_ result: Result<[SocketAddress], EngineError>) {
        timer = nil
        resolver = nil
        guard !isCancelled else { return }
        switch result {
        case .failure(let error): finish(.failure(error))
        case .success(let addresses):
            remaining = addresses.reversed()
            dialNext(after: .timeout)
        }
    }

    private func dialNext(after error: EngineError) {
        guard let address = remaining.popLast() else { return finish(.failure(error)) }
        do throws(EngineError) {
            current = try Connection.dial(address, timeout: left, on: loop, handler: self)
        } catch {
            finish(.failure(error))
        }
    }

    /// Milliseconds, at least 1; 0: no deadline.
    private var left: UInt64 { deadline == .max ? 0 : (deadline > loop.now ? deadline - loop.now : 1) }

    private func shakeHands(on connection: Connection, _ context: TLSContext, _ peer: String) {
        do throws(EngineError) {
            current = try connection.startTLS(context, peer: peer, timeout: left == 0 ? 10_000 : left, handler: self)
        } catch {
            connection.abort()
            finish(.failure(error))
        }
    }

    private func finish(_ result: Result<Connection, EngineError>) {
        current = nil
        let completion = self.completion
        self.completion = nil
        completion?(result)
    }

    public func connectionDidOpen(_ connection: Connection) {
        guard !isCancelled else { return connection.abort() }
        if let tls, !connection.isSecure { return shakeHands(on: connection, tls.context, tls.peer) }
        connection.handler = nil
        finish(.success(connection))
    }

    public func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int { 0 }

    public func connectionDidClose(_ connection: Connection, error: EngineError?) {
        guard !isCancelled, completion != nil else { return }
        let isLate = deadline != .max && loop.now >= deadline
        // Another address of the same name would show the same certificate, and its refusal would hide the reason.
        if isLate || (error?.isTLS == true && error != .handshakeEnded) { remaining = [] }
        dialNext(after: isLate ? .timeout : (error ?? .closed))
    }
}
