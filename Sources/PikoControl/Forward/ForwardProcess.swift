// SPDX-License-Identifier: MIT
// `piko forward`: listens on local ports, waits for a signal, lets what runs finish, ends. Runs on the main thread; everything it starts
// lives on loops.

import PikoCore
import PikoEngine

/// The forward command.
public final class ForwardProcess {
    private let live: LiveConfiguration<ForwardConfiguration>
    /// At the start.
    private let configuration: ForwardConfiguration
    private let log: Log
    private let turnstile = Turnstile()

    public init(configuration: LiveConfiguration<ForwardConfiguration>) {
        live = configuration
        self.configuration = configuration.current
        log = configuration.log
    }

    /// Blocks until SIGTERM or SIGINT; 0 then. 1 when a port could not be listened at.
    public func run() -> Int32 {
        let frame = ProcessFrame<ForwardLoop, ProcessSignals>(
            failed: "forward failed", log: log, gracePeriod: { [live] in live.current.gracePeriod }, turnstile: turnstile)
        return frame.status {
            live.show()
            let loops = try LoopGroup<ForwardLoop>(count: configuration.engine.loops, name: "forward")
            let turnstile = self.turnstile
            let store = TLSStore(log: log)
            let connect = configuration.connect
            // Its URL may become one of https while it runs.
            let tls = try store.client(connect.tls, "connect.tls", towards: [connect.url]) ?? store.client(connect.tls, "connect.tls")
            return try frame.serve(on: loops, tls: store) { loop throws(EngineError) in
                try ProcessSignals(on: loop, turnstile: turnstile)
            } start: { _ in
                try start(loops, tls)
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

    private func start(_ loops: LoopGroup<ForwardLoop>, _ tls: TLSIdentity) throws {
        let configuration = self.configuration
        let log = self.log
        let turnstile = self.turnstile
        for member in loops.members {
            member.loop.sync {
                member.value = ForwardLoop(
                    loop: member.loop, configuration: configuration, tls: tls, log: log, turnstile: turnstile)
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
}
