// SPDX-License-Identifier: MIT
// Loops with an HTTP proxy each between a listening port and a service's port, for the tests of the proxy. Everything is ended, and every counter
// of the engine checked, when a test is over.

import PikoCore
import PikoEngine
import Synchronization
import Testing

@testable import PikoControl

/// A proxy under test. Made, used and ended on the test's thread.
final class Stage {
    let service: TestSocket
    private let loops: [EventLoop]
    private let corners: [LoopBound<Corner>]
    private var port: UInt16 = 0
    private let moved = Counter()

    var moves: Int { moved.value.load(ordering: .relaxed) }

    static func run(
        loops: Int = 1, timeout: UInt64 = 5000, headTimeout: UInt64 = 10_000, servicePort: UInt16? = nil,
        heads: ByteBudget = ByteBudget(bytes: HTTPProxy.mostHeads), _ body: (Stage) throws -> Void
    ) throws {
        let stage = try Stage(loops: loops, timeout: timeout, headTimeout: headTimeout, servicePort: servicePort, heads: heads)
        defer { stage.end() }
        try body(stage)
    }

    private init(loops count: Int, timeout: UInt64, headTimeout: UInt64, servicePort: UInt16?, heads: ByteBudget) throws {
        service = try TestSocket.listening()
        let loops = try (0..<count).map { _ in try EventLoop(name: "test") }
        self.loops = loops
        corners = loops.map { LoopBound<Corner>(on: $0) }
        let target = servicePort ?? service.port
        let corners = self.corners
        let moved = self.moved
        for index in 0..<count {
            try loops[index].start()
            let listening = loops[index].sync {
                let corner = Corner(
                    index: index, loop: loops[index], corners: corners, timeout: timeout, headTimeout: headTimeout, target: target, heads: heads,
                    moved: moved)
                corners[index].value = corner
                return index == 0 ? corner.listen() : 0
            }
            if index == 0 { port = listening ?? 0 }
        }
    }

    func connect() throws -> TestSocket { try TestSocket.connected(to: port) }

    /// Connections that the proxy opened and closed again without a request on them do not count.
    func acceptFresh() throws -> TestSocket { try service.accept() }

    /// Requests that are over, "STATUS METHOD" and how many.
    var requests: [String: UInt64] {
        var counted: [String: UInt64] = [:]
        for corner in corners {
            guard let snapshot = corner.sync({ $0.proxy?.metrics?.snapshot }) ?? nil else { continue }
            for (key, latency) in snapshot.series { counted["\(key.status) \(key.method)", default: 0] += latency.total }
        }
        return counted
    }

    /// How often something went wrong that no status tells.
    func faults(_ fault: ProxyFault) -> UInt64 {
        corners.reduce(0) { sum, corner in sum + ((corner.sync { $0.proxy?.metrics?.snapshot.faults[fault.rawValue] } ?? nil) ?? 0) }
    }

    func drain() {
        for corner in corners { _ = corner.sync { $0.proxy?.drain() } }
    }

    private func end() {
        for corner in corners { _ = corner.sync { $0.end() } }
        for (loop, corner) in zip(loops, corners) {
            loop.sync { corner.value = nil }
            loop.stop()
        }
        for loop in loops { #expect(loop.join() == EngineCounts()) }
    }
}

final class Counter: Sendable {
    let value = Atomic<Int>(0)
}

/// What lives on one loop of a stage.
final class Corner {
    private(set) var proxy: HTTPProxy?
    private let pool: ConnectionPool
    private var listener: Listener?
    private let loop: EventLoop

    init(
        index: Int, loop: EventLoop, corners: [LoopBound<Corner>], timeout: UInt64, headTimeout: UInt64, target: UInt16, heads: ByteBudget,
        moved: Counter
    ) {
        self.loop = loop
        let log = Log(sink: LogSink(configuration: LogConfiguration()) { _ in true })
        pool = ConnectionPool(ConnectionPoolSettings(host: "127.0.0.1", port: target, dialTimeout: 1000), loop: loop, log: log)
        var settings = HTTPProxySettings(role: .server)
        settings.timeout = timeout
        settings.readHeaderTimeout = headTimeout
        settings.headLimits = HeadLimits(bytes: 100_000)
        settings.drainIdleTimeout = 300
        let provider: any UpstreamProvider = corners.count == 1 ? pool : RestlessProvider(pool, index: index, loops: corners.count)
        let proxy = HTTPProxy(settings, loop: loop, index: index, provider: provider, log: log, metrics: ProxyMetrics(), accessLog: nil)
        proxy.heads = heads
        proxy.moveAway = { moving, arrival, index in
            moved.value.add(1, ordering: .relaxed)
            return corners[index].post { $0.proxy?.land(moving, arrival) }
        }
        self.proxy = proxy
    }

    func listen() -> UInt16 {
        listener = try? Listener.listen(at: SocketAddress(host: "127.0.0.1", port: 0)!, on: loop) { [unowned self] in proxy?.serve($0) }
        return listener?.address?.port ?? 0
    }

    func end() {
        listener?.close()
        proxy?.abortAll()
        proxy = nil
        pool.drain()
    }
}

/// Sends every other request to the next loop first.
final class RestlessProvider: UpstreamProvider {
    private let pool: ConnectionPool
    private let index: Int
    private let loops: Int

    init(_ pool: ConnectionPool, index: Int, loops: Int) {
        self.pool = pool
        self.index = index
        self.loops = loops
    }

    func acquire(_ request: UpstreamRequest, for receiver: any UpstreamReceiver) -> UpstreamAnswer {
        if request.selected == nil { return .elsewhere(TunnelID(loop: (index + 1) % loops, session: 1)) }
        return pool.acquire(request, for: receiver)
    }
}
