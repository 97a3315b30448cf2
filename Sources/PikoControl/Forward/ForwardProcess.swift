// SPDX-License-Identifier: MIT
// `piko forward`: listens on local ports, waits for a signal, lets what runs finish, ends. Runs on the main thread; everything it starts
// lives on loops.

import PikoCore
import PikoEngine

/// The forward command.
public final class ForwardProcess {
    private let configuration: ForwardConfiguration
    private let log: Log
    private let turnstile = Turnstile()

    public init(configuration: ForwardConfiguration, log: Log) {
        self.configuration = configuration
        self.log = log
    }

    /// Blocks until SIGTERM or SIGINT; 0 then. 1 when a port could not be listened at.
    public func run() -> Int32 {
        do {
            return try serve()
        } catch {
            log.error("forward failed") { $0.add("error", String(describing: error)) }
            return 1
        }
    }

    private func serve() throws -> Int32 {
        let loops = try LoopGroup<ForwardLoop>(count: configuration.engine.loops, name: "forward")
        let control = try EventLoop(name: "control")
        try control.start()
        let signals = LoopBound<StopSignals>(on: control)
        let turnstile = self.turnstile
        control.sync { signals.value = try? StopSignals(on: control, turnstile: turnstile) }
        var failure: (any Error)?
        do { try start(loops) } catch { failure = error }
        if failure == nil { _ = turnstile.wait { turnstile.signalCount > 0 } }
        drain(loops)
        control.sync {
            signals.value?.cancel()
            signals.value = nil
        }
        control.stop()
        ShutdownReport.write(loops.end() + [control.join()], to: log)
        if let failure { throw failure }
        return 0
    }

    private func start(_ loops: LoopGroup<ForwardLoop>) throws {
        let configuration = self.configuration
        let log = self.log
        let turnstile = self.turnstile
        for member in loops.members {
            member.loop.sync {
                member.value = ForwardLoop(loop: member.loop, configuration: configuration, log: log, turnstile: turnstile)
            }
        }
        for port in configuration.ports {
            guard let place = port.listen else { continue }
            try Binding.listen(at: place, key: "ports.addr", on: loops) { state, address throws(EngineError) in
                try state.listen(at: address, endpoint: port.endpointID)
            }
            log.info("forwarding") {
                $0.add("addr", place.description)
                $0.add("endpoint_id", port.endpointID)
            }
        }
    }

    private func drain(_ loops: LoopGroup<ForwardLoop>) {
        log.info("stopping") { $0.add("grace_period", configuration.gracePeriod.configured) }
        loops.post { $0.drain() }
        let turnstile = self.turnstile
        let finished = turnstile.wait(atMost: configuration.gracePeriod.wholeMilliseconds) {
            turnstile.signalCount > 1 || loops.sync { $0.residents.count }.allSatisfy { $0 == 0 }
        }
        if !finished {
            log.warn("grace period is over") { $0.add("cut", loops.sync { $0.residents.count }.reduce(0, +)) }
        }
        loops.post { $0.residents.abortAll() }
        _ = turnstile.wait(atMost: 5000) { loops.sync { $0.residents.count }.allSatisfy { $0 == 0 } }
    }
}
