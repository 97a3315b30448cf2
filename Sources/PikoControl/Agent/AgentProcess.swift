// SPDX-License-Identifier: MIT
// `piko agent`: starts the loops and the listeners' tunnels, waits for a signal, lets what runs finish, ends. Runs on the main thread;
// everything it starts lives on loops.

import PikoClient
import PikoCore
import PikoEngine
import Synchronization

/// The agent command.
public final class AgentProcess {
    private let live: LiveConfiguration<AgentConfiguration>
    /// At the start.
    private let configuration: AgentConfiguration
    private let log: Log
    private let turnstile = Turnstile()

    public init(configuration: LiveConfiguration<AgentConfiguration>) {
        live = configuration
        self.configuration = configuration.current
        log = configuration.log
    }

    /// Blocks until SIGTERM or SIGINT, or until a first dial failed for good. 0 after a signal, else 1.
    public func run() -> Int32 {
        let frame = ProcessFrame<AgentLoop, AgentControl>(
            failed: "agent failed", log: log, gracePeriod: { [live] in live.current.gracePeriod }, turnstile: turnstile)
        return frame.status {
            live.show()
            let loops = try LoopGroup<AgentLoop>(count: configuration.engine.loops, name: "agent")
            let (turnstile, log) = (turnstile, log)
            let store = TLSStore(log: log)
            let tls = try AgentTLS(configuration, store)
            return try frame.serve(on: loops, tls: store) { loop throws(EngineError) in
                try AgentControl(loop: loop, loops: loops, log: log, turnstile: turnstile)
            } start: { face in
                // Whoever asks for metrics asks all loops.
                occupy(loops, tls)
                try listen(face)
                start(loops)
            } reload: { _ in
                live.reload { plan in
                    let configuration = plan.configuration
                    loops.post { $0.configure(configuration) }
                }
            } drain: { _ in
                frame.finish(loops)
            }
        }
    }

    private func listen(_ face: LoopBound<AgentControl>) throws(BindFailure) {
        guard configuration.server.enabled else { return }
        try Binding.listen(at: configuration.server.bindAddr, key: "server.bind_addr", on: face) {
            control, address throws(EngineError) in try control.listen(at: address)
        }
    }

    private func occupy(_ loops: LoopGroup<AgentLoop>, _ tls: AgentTLS) {
        let (configuration, log, turnstile) = (configuration, log, turnstile)
        let heads = ByteBudget(bytes: HTTPProxy.mostHeads)
        for (index, member) in loops.members.enumerated() {
            member.loop.sync {
                member.value = AgentLoop(
                    loop: member.loop, index: index, configuration: configuration, heads: heads, tls: tls, log: log, turnstile: turnstile)
            }
        }
    }

    /// Listeners go to the loops in turn.
    private func start(_ loops: LoopGroup<AgentLoop>) {
        let listeners = configuration.listeners
        for (index, member) in loops.members.enumerated() {
            _ = member.sync { loop in
                for place in stride(from: index, to: listeners.count, by: loops.count) { loop.start(listeners[place], at: place) }
            }
        }
        log.info("agent started") { $0.add("listeners", listeners.count) }
    }
}
