// SPDX-License-Identifier: MIT
// An agent's upstreams: connections to its service, kept for the next request while they are idle. One per listener and loop; loop-confined. An
// idle connection is watched: what ends or speaks unasked is not given out again.

import PikoCore
import PikoEngine

/// What a pool is told once.
public struct ServicePoolSettings: Sendable {
    /// A name or a numeric address, without brackets.
    public var host: String
    public var port: UInt16
    /// Milliseconds for a connection to open; 0: no limit of ours.
    public var dialTimeout: UInt64
    /// Milliseconds a connection may be idle; 0: no limit.
    public var idleTimeout: UInt64
    /// Idle connections at once; negative: no limit.
    public var mostIdle: Int

    public init(host: String, port: UInt16, dialTimeout: UInt64, idleTimeout: UInt64 = 90_000, mostIdle: Int = 100) {
        self.host = host
        self.port = port
        self.dialTimeout = dialTimeout
        self.idleTimeout = idleTimeout
        self.mostIdle = mostIdle
    }
}

/// Keep-alive connections to one service.
public final class ServicePool: UpstreamProvider {
    private struct Idle {
        let connection: Connection
        let since: UInt64
    }

    private struct Wish {
        let receiver: any UpstreamReceiver
        let handler: any ConnectionHandler
        let dialer: Dialer
    }

    private let settings: ServicePoolSettings
    private let loop: EventLoop
    private let log: Log
    /// The one idle for the longest time is first.
    private var idle: [Idle] = []
    private var wishes: [ObjectIdentifier: Wish] = [:]
    private var timer: Timer?
    private var isClosed = false

    public init(_ settings: ServicePoolSettings, loop: EventLoop, log: Log) {
        self.settings = settings
        self.loop = loop
        self.log = log
        timer = Timer(on: loop) { [unowned self] in closeExpired() }
    }

    /// Ends the idle connections, and keeps none from now on. Dials under way go on.
    public func drain() {
        isClosed = true
        timer?.disarm()
        closeIdle(before: .max)
    }

    /// Connections that wait for a request.
    public var idleCount: Int { idle.count }

    // MARK: UpstreamProvider

    public func acquire(_ request: UpstreamRequest, for receiver: any UpstreamReceiver) -> UpstreamAnswer {
        while let candidate = idle.popLast() {
            let connection = candidate.connection
            connection.handler = nil
            if connection.isClosing || connection.hasEnded || connection.keptCount > 0 {
                connection.close()
                continue
            }
            connection.handler = request.handler
            return .opened(OpenedUpstream(connection, isReused: true, isConfirmed: true, tunnel: nil))
        }
        dial(request.handler, receiver)
        return .pending
    }

    public func cancel(_ receiver: any UpstreamReceiver) {
        wishes.removeValue(forKey: ObjectIdentifier(receiver))?.dialer.cancel()
    }

    public func release(_ connection: Connection, reusable: Bool) {
        let isFull = settings.mostIdle >= 0 && idle.count >= settings.mostIdle
        guard reusable, !isClosed, !isFull, !connection.hasEnded, !connection.isClosing else { return connection.close() }
        connection.handler = self
        connection.startReading()
        idle.append(Idle(connection: connection, since: loop.now))
        if settings.idleTimeout > 0, timer?.isArmed == false { timer?.arm(settings.idleTimeout) }
    }

    // MARK: Dialling

    private func dial(_ handler: any ConnectionHandler, _ receiver: any UpstreamReceiver) {
        let key = ObjectIdentifier(receiver)
        let dialer = Dialer.dial(host: settings.host, port: settings.port, timeout: settings.dialTimeout, on: loop) { [self] in
            didDial($0, key)
        }
        wishes[key] = Wish(receiver: receiver, handler: handler, dialer: dialer)
    }

    private func didDial(_ result: Result<Connection, EngineError>, _ key: ObjectIdentifier) {
        guard let wish = wishes.removeValue(forKey: key) else {
            if case .success(let connection) = result { connection.abort() }
            return
        }
        switch result {
        case .success(let connection):
            connection.handler = wish.handler
            wish.receiver.upstreamDidOpen(OpenedUpstream(connection, isReused: false, isConfirmed: true, tunnel: nil))
        case .failure(let error):
            log.peer(.warn, "service not reached") {
                $0.add("addr", settings.host)
                $0.add("port", settings.port)
                $0.add("error", error.description)
            }
            wish.receiver.upstreamDidFail(
                error == .timeout ? .timeout : ProxyError(.unreachable, source: .upstream, retry: .never))
        }
    }

    // MARK: Idle connections

    private func closeExpired() {
        let now = loop.now
        closeIdle(before: now >= settings.idleTimeout ? now - settings.idleTimeout + 1 : 0)
        if let first = idle.first { timer?.arm(first.since + settings.idleTimeout - now) }
    }

    private func closeIdle(before time: UInt64) {
        let expired = idle.prefix { $0.since < time }
        for each in expired {
            each.connection.handler = nil
            each.connection.close()
        }
        idle.removeFirst(expired.count)
    }

    private func forget(_ connection: Connection) {
        if let index = idle.lastIndex(where: { $0.connection === connection }) { idle.remove(at: index) }
    }
}

extension ServicePool: ConnectionHandler {
    /// Nothing was asked: whatever this is, the next request is not to get it as an answer.
    public func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int {
        forget(connection)
        connection.handler = nil
        connection.abort()
        return bytes.count
    }

    public func connectionDidEnd(_ connection: Connection) {
        forget(connection)
        connection.handler = nil
        connection.close()
    }

    public func connectionDidClose(_ connection: Connection, error: EngineError?) { forget(connection) }
}
