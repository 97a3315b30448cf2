// SPDX-License-Identifier: MIT
// Connections to one place, kept for the next request while they are idle: an agent's to its service, a node's to another node. One for each
// place and loop; loop-confined. An idle connection is watched: what ends or speaks unasked is not given out again.

import PikoCore
import PikoEngine

/// What a pool is told once.
public struct ConnectionPoolSettings: Sendable {
    /// A name or a numeric address, without brackets.
    public var host: String
    public var port: UInt16
    /// Milliseconds for a connection to open; 0: no limit of ours.
    public var dialTimeout: UInt64
    /// Milliseconds a connection may be idle; 0: no limit.
    public var idleTimeout: UInt64
    /// Idle connections at once; negative: no limit.
    public var mostIdle: Int
    /// The id of the node that is reached there; nil: it is a service.
    public var node: String?
    /// Speaks TLS; nil: plain text.
    public var tls: TLSIdentity?
    /// Seconds of silence after which TCP probes whether the service is there; 0: the engine's own.
    public var probeIdle: UInt64 = 0

    public init(host: String, port: UInt16, dialTimeout: UInt64, idleTimeout: UInt64 = 90_000, mostIdle: Int = 100) {
        self.host = host
        self.port = port
        self.dialTimeout = dialTimeout
        self.idleTimeout = idleTimeout
        self.mostIdle = mostIdle
    }
}

/// Keep-alive connections to one place.
public final class ConnectionPool {
    private struct Idle {
        let connection: Connection
        let since: UInt64
    }

    private struct Wish {
        let receiver: any UpstreamReceiver
        let handler: any ConnectionHandler
        let dialer: Dialer
    }

    public private(set) var settings: ConnectionPoolSettings
    /// Another node is reached, not a service.
    public let isOfNode: Bool
    /// The sessions to the same node; nil: it is a service.
    var sessions: NodeSessions?
    /// Whoever answers there is not whom we trust, or does not trust us.
    var onTLSFailure: (() -> Void)?
    /// A connection for a request did not come about.
    var onUnreached: (() -> Void)?
    private let loop: EventLoop
    private let log: Log
    /// The one idle for the longest time is first.
    private var idle: [Idle] = []
    private var wishes: [ObjectIdentifier: Wish] = [:]
    private var timer: Timer?
    private var isClosed = false
    /// Connections given out so far, each use counted.
    private(set) var uses: UInt64 = 0

    public init(_ settings: ConnectionPoolSettings, loop: EventLoop, log: Log) {
        self.settings = settings
        self.loop = loop
        self.log = log
        isOfNode = settings.node != nil
        timer = Timer(on: loop) { [unowned self] in closeExpired() }
    }

    /// Other times and bounds, to the same place.
    public func configure(_ settings: ConnectionPoolSettings) {
        precondition(settings.host == self.settings.host && settings.port == self.settings.port, "a pool is for one place")
        self.settings = settings
        if settings.idleTimeout == 0 { timer?.disarm() } else if !idle.isEmpty { closeExpired() }
    }

    /// Ends the idle connections, and keeps none from now on. Dials under way go on.
    public func drain() {
        isClosed = true
        timer?.disarm()
        closeIdle()
    }

    /// Connections that wait for a request.
    public var idleCount: Int { idle.count }

    /// A connection for one request: an idle one at once, or a new one later. As UpstreamProvider.acquire; never `none`.
    /// - Parameter isOnlyChance: the request cannot be sent again: an idle connection is looked at once more, for an end of which the loop has
    ///   not heard yet.
    public func acquire(
        _ handler: any ConnectionHandler, for receiver: any UpstreamReceiver, isOnlyChance: Bool = false
    ) -> UpstreamAnswer {
        while let candidate = idle.popLast() {
            let connection = candidate.connection
            connection.handler = nil
            if connection.isClosing || connection.hasEnded || connection.keptCount > 0 || isOnlyChance && !connection.isSilent {
                connection.close()
                continue
            }
            connection.handler = handler
            uses &+= 1
            return .opened(OpenedUpstream(connection, isReused: true, pool: self))
        }
        dial(handler, receiver)
        return .pending(self)
    }

    /// The receiver of a pending request wants it no more.
    public func cancel(_ receiver: any UpstreamReceiver) {
        wishes.removeValue(forKey: ObjectIdentifier(receiver))?.dialer.cancel()
    }

    /// Gives a connection back, the exchange on it being complete, with no handler and nothing on its way in either direction. `reusable`:
    /// it may carry another request; otherwise it ends politely. A connection that broke or was aborted is not given back.
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
        let dialer = Dialer.dial(
            host: settings.host, port: settings.port, timeout: settings.dialTimeout, tls: settings.tls?.context,
            serverName: settings.tls?.serverName, on: loop
        ) { [self] in didDial($0, key) }
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
            // Long answers that nobody takes wait in the service, not in this machine's TCP memory.
            if !isOfNode { connection.boundReceiving() }
            if settings.probeIdle > 0 { connection.setProbeIdle(seconds: settings.probeIdle) }
            uses &+= 1
            wish.receiver.upstreamDidOpen(OpenedUpstream(connection, isReused: false, pool: self))
        case .failure(let error):
            didFail(error)
            wish.receiver.upstreamDidFail(failure(error))
        }
    }

    /// A connection did not come about, or was refused behind its handshake.
    func didFail(_ error: EngineError) {
        report(error)
        onUnreached?()
        if error.isTLS { onTLSFailure?() }
    }

    private func report(_ error: EngineError) {
        log.peer(.warn, isOfNode ? "node not reached" : "service not reached") {
            if let node = settings.node { $0.add("node_id", node) }
            $0.add("addr", settings.host)
            $0.add("port", settings.port)
            $0.add("error", error.description)
        }
    }

    /// There are other nodes, but no other service.
    private func failure(_ error: EngineError) -> ProxyError {
        if isOfNode { return .unreachable }
        return error == .timeout ? .timeout : ProxyError(.unreachable, source: .upstream, retry: .never)
    }

    /// The place is known to be gone: whoever waits for a connection to it hears so at once.
    func failDials() {
        for key in Array(wishes.keys) {
            guard let wish = wishes.removeValue(forKey: key) else { continue }
            wish.dialer.cancel()
            wish.receiver.upstreamDidFail(failure(.aborted))
        }
    }

    // MARK: Idle connections

    /// Ends the idle connections; later ones are kept again.
    public func closeIdle() { closeIdle(before: .max) }

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

extension ConnectionPool: UpstreamProvider {
    public func acquire(_ request: UpstreamRequest, for receiver: any UpstreamReceiver) -> UpstreamAnswer {
        acquire(request.handler, for: receiver, isOnlyChance: request.isOnlyChance)
    }
}

extension ConnectionPool: ConnectionHandler {
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
