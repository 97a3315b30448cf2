// SPDX-License-Identifier: MIT
// `piko agent`: starts the loops and the listeners' tunnels, waits for a signal, lets what runs finish, ends. Runs on the main thread;
// everything it starts lives on loops.

import PikoClient
import PikoCore
import PikoEngine
import Synchronization

/// The agent command.
public final class AgentProcess {
    private let configuration: AgentConfiguration
    private let log: Log
    private let turnstile = Turnstile()

    public init(configuration: AgentConfiguration, log: Log) {
        self.configuration = configuration
        self.log = log
    }

    /// Blocks until SIGTERM or SIGINT, or until a first dial failed for good. 0 after a signal, else 1.
    public func run() -> Int32 {
        do {
            return try serve()
        } catch {
            log.error("agent failed") { $0.add("error", String(describing: error)) }
            return 1
        }
    }

    private func serve() throws -> Int32 {
        let loops = try LoopGroup<AgentLoop>(count: configuration.engine.loops, name: "agent")
        let control = try EventLoop(name: "control")
        try control.start()
        let face = LoopBound<AgentControl>(on: control)
        let turnstile = self.turnstile
        control.sync { face.value = try? AgentControl(loop: control, loops: loops, turnstile: turnstile) }
        var failure: (any Error)?
        do { try listen(face) } catch { failure = error }
        if failure == nil {
            start(loops)
            _ = turnstile.wait { turnstile.signalCount > 0 || turnstile.hasFailed }
        }
        drain(loops)
        _ = face.sync { $0.end() }
        control.sync { face.value = nil }
        control.stop()
        ShutdownReport.write(loops.end() + [control.join()], to: log)
        if let failure { throw failure }
        return turnstile.hasFailed ? 1 : 0
    }

    private func listen(_ face: LoopBound<AgentControl>) throws(BindFailure) {
        guard configuration.server.enabled else { return }
        try Binding.listen(at: configuration.server.bindAddr, key: "server.bind_addr", on: face) {
            control, address throws(EngineError) in try control.listen(at: address)
        }
    }

    /// Listeners go to the loops in turn.
    private func start(_ loops: LoopGroup<AgentLoop>) {
        let configuration = self.configuration
        let log = self.log
        let turnstile = self.turnstile
        let count = loops.count
        for (index, member) in loops.members.enumerated() {
            member.loop.sync {
                let state = AgentLoop(
                    loop: member.loop, index: index, configuration: configuration, log: log, turnstile: turnstile)
                member.value = state
                for (place, listener) in configuration.listeners.enumerated() where place % count == index {
                    state.start(listener)
                }
            }
        }
        log.info("agent started") { $0.add("listeners", configuration.listeners.count) }
    }

    private func drain(_ loops: LoopGroup<AgentLoop>) {
        log.info("stopping") { $0.add("grace_period", configuration.gracePeriod.configured) }
        loops.post { $0.drain() }
        let turnstile = self.turnstile
        let grace = turnstile.hasFailed ? 0 : configuration.gracePeriod.wholeMilliseconds
        let finished = turnstile.wait(atMost: grace) {
            turnstile.signalCount > 1 || loops.sync { $0.busyCount }.allSatisfy { $0 == 0 }
        }
        if !finished {
            log.warn("grace period is over") { $0.add("cut", loops.sync { $0.busyCount }.reduce(0, +)) }
        }
        loops.post { $0.end() }
        let isEnded = { loops.sync { $0.isEnded }.allSatisfy { $0 } }
        if !turnstile.wait(atMost: 1000, until: isEnded) {
            loops.post { $0.cut() }
            // A turn of the loops; long only where the machine stands still.
            _ = turnstile.wait(atMost: 10_000, until: isEnded)
        }
    }
}
