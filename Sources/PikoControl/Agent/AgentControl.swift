// SPDX-License-Identifier: MIT
// The agent's control loop: signals and the port for metrics.
// Loop-confined. It asks the worker loops for numbers and never reaches into them.

import PikoCore
import PikoEngine

/// Everything of an agent that lives on the control loop.
final class AgentControl: EndingControl {
    private let signals: ProcessSignals
    private let port: AdminPort

    init(loop: EventLoop, loops: LoopGroup<AgentLoop>, turnstile: Turnstile) throws(EngineError) {
        signals = try ProcessSignals(on: loop, turnstile: turnstile)
        port = AdminPort(loop: loop) { request, answer in
            guard request.path == ["metrics"] else { return answer(.error(404, "not found")) }
            Self.metrics(loops, loop, answer)
        }
    }

    /// Serves `/metrics` at this address.
    func listen(at address: SocketAddress) throws(EngineError) { try port.listen(at: address) }

    /// Ends everything on the loop.
    func end() {
        signals.end()
        port.end()
    }

    private static func metrics(
        _ loops: LoopGroup<AgentLoop>, _ loop: EventLoop, _ answer: @escaping (AdminAnswer) -> Void
    ) {
        Gathering.start(from: loops, to: loop) { $0.metrics.mapValues(\.snapshot) } completion: { parts in
            var sum: [String: ProxySnapshot] = [:]
            for (endpoint, snapshot) in parts.joined() { sum[endpoint, default: ProxySnapshot()].add(snapshot) }
            var page = PrometheusText()
            let labelled = sum.sorted { $0.key < $1.key }.map { (labels: [("endpoint", $0.key)], snapshot: $0.value) }
            page.add(labelled, prefix: "piko_agent")
            answer(AdminAnswer(status: 200, contentType: PrometheusText.contentType, body: page.text))
        }
    }
}
