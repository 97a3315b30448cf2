// SPDX-License-Identifier: MIT
// The agent's control loop: signals and the port for metrics.
// Loop-confined.

import PikoCore
import PikoEngine

/// Everything of an agent that lives on the control loop.
final class AgentControl: EndingControl {
    private let signals: ProcessSignals
    private let port: AdminPort

    init(loop: EventLoop, loops: LoopGroup<AgentLoop>, log: Log, turnstile: Turnstile) throws(EngineError) {
        signals = try ProcessSignals(on: loop, turnstile: turnstile)
        let pages = AgentPages(loops: loops, loop: loop, log: log)
        port = AdminPort(loop: loop) { pages.respond(to: $0, $1) }
        pages.port = port
    }

    /// Serves `/metrics` at this address.
    func listen(at address: SocketAddress) throws(EngineError) { try port.listen(at: address) }

    /// Ends everything on the loop.
    func end() {
        signals.end()
        port.end()
    }
}
