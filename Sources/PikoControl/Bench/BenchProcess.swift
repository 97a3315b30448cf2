// SPDX-License-Identifier: MIT
// `piko bench http`: opens tunnels to a server, then sends requests through it, and measures. Runs on the main thread; what it
// starts lives on loops and is gone when `run` returns. SIGTERM and SIGINT end it early.

import PikoCore
import PikoEngine

/// Why a benchmark has no result.
public struct BenchFailure: Error, Sendable {
    public var reason: String
}

/// The bench command.
public final class BenchProcess {
    private let configuration: BenchConfiguration
    private let log: Log
    private let turnstile = Turnstile()

    public init(configuration: BenchConfiguration, log: Log) {
        self.configuration = configuration
        self.log = log
    }

    /// Blocks until all requests are done or a signal came. `progress` gets a line each second, on the calling thread.
    public func run(progress: (String) -> Void) throws(BenchFailure) -> BenchReport {
        let tls = try identity()
        let (loops, control) = try start()
        let signals = LoopBound<ProcessSignals>(on: control)
        let turnstile = self.turnstile
        control.sync { signals.value = try? ProcessSignals(on: control, turnstile: turnstile) }
        let result = measure(loops, tls, progress)
        end(loops)
        control.sync {
            signals.value?.end()
            signals.value = nil
        }
        control.stop()
        ShutdownReport.write(loops.end() + [control.join()], to: log)
        return try result.get()
    }

    private func identity() throws(BenchFailure) -> TLSIdentity? {
        let connect = configuration.connect
        do throws(ConfigurationError) {
            return try TLSStore.once(log: log) { store throws(ConfigurationError) in
                try store.client(connect.tls, "connect.tls", towards: [connect.proxyURL, connect.upstreamURL])
            }
        } catch {
            throw BenchFailure(reason: error.message)
        }
    }

    private func start() throws(BenchFailure) -> (LoopGroup<BenchLoop>, EventLoop) {
        do throws(EngineError) {
            let loops = try LoopGroup<BenchLoop>(count: configuration.engine.loops, name: "bench")
            let control = try EventLoop(name: "control")
            try control.start()
            return (loops, control)
        } catch {
            throw BenchFailure(reason: error.description)
        }
    }

    private func measure(
        _ loops: LoopGroup<BenchLoop>, _ tls: TLSIdentity?, _ progress: (String) -> Void
    ) -> Result<BenchReport, BenchFailure> {
        openTunnels(loops, tls)
        let patience = configuration.connect.timeout.wholeMilliseconds
        let wanted = configuration.upstreams
        let isReady = turnstile.wait(atMost: patience &* 2) { [turnstile] in
            turnstile.signalCount > 0 || turnstile.hasFailed || Self.counts(loops).ready == wanted
        }
        let counts = Self.counts(loops)
        guard counts.ready == wanted else {
            let reason = isReady ? "ended by a signal" : "timeout"
            return .failure(BenchFailure(reason: counts.trouble ?? "\(counts.ready) of \(wanted) upstreams connected: \(reason)"))
        }
        let start = EventLoop.nanoseconds
        startClients(loops)
        watch(loops, since: start, progress)
        return .success(report(loops, start))
    }

    /// Tunnels go to the loops in turn, and their endpoints too.
    private func openTunnels(_ loops: LoopGroup<BenchLoop>, _ tls: TLSIdentity?) {
        let (configuration, log, turnstile) = (self.configuration, self.log, self.turnstile)
        let payload = BenchPayload(count: configuration.size)
        let count = loops.count
        for (index, member) in loops.members.enumerated() {
            let endpoints = stride(from: index, to: configuration.upstreams, by: count).map { $0 % configuration.endpoints }
            member.loop.sync {
                let state = BenchLoop(
                    loop: member.loop, configuration: configuration, tls: tls, payload: payload, log: log, turnstile: turnstile)
                member.value = state
                state.openTunnels(endpoints)
            }
        }
    }

    private func startClients(_ loops: LoopGroup<BenchLoop>) {
        let shares = Self.shares(of: configuration.requests, among: configuration.clients)
        let count = loops.count
        for (index, member) in loops.members.enumerated() {
            let own = stride(from: index, to: shares.count, by: count).map { shares[$0] }
            member.post { $0.startClients(own) }
        }
    }

    /// As equal as can be; a client without any is left out.
    static func shares(of requests: Int, among clients: Int) -> [Int] {
        (0..<clients).map { requests / clients + ($0 < requests % clients ? 1 : 0) }.filter { $0 > 0 }
    }

    private func watch(_ loops: LoopGroup<BenchLoop>, since start: UInt64, _ progress: (String) -> Void) {
        var last = start
        var lastDone: UInt64 = 0
        let isOver = { [turnstile] in turnstile.signalCount > 0 || Self.counts(loops).openClients == 0 }
        while !turnstile.wait(atMost: 1000, until: isOver) {
            let counts = Self.counts(loops)
            let (now, done) = (EventLoop.nanoseconds, counts.answered + counts.failed)
            let rate = Double(done - lastDone) / (Double(max(now &- last, 1)) / 1e9)
            progress(BenchReport.progress(done: done, of: configuration.requests, rate: rate))
            (last, lastDone) = (now, done)
        }
    }

    private func report(_ loops: LoopGroup<BenchLoop>, _ start: UInt64) -> BenchReport {
        let nanoseconds = EventLoop.nanoseconds &- start
        let counts = Self.counts(loops)
        let latency = loops.sync { $0.latency }.reduce(into: LatencyHistogram()) { $0.add($1) }
        return BenchReport(
            requests: configuration.requests, failed: counts.failed, nanoseconds: nanoseconds, latency: latency, trouble: counts.trouble)
    }

    private func end(_ loops: LoopGroup<BenchLoop>) {
        loops.post { $0.end() }
        _ = turnstile.wait(atMost: 5000) { loops.sync { $0.isEnded }.allSatisfy { $0 } }
    }

    private static func counts(_ loops: LoopGroup<BenchLoop>) -> BenchCounts { .sum(loops.sync { $0.counts }) }
}
