// SPDX-License-Identifier: MIT
// What an agent's port for metrics answers.
// Control loop only; numbers of the worker loops are asked for by mail and come back by mail.

import PikoCore
import PikoEngine

/// The pages of an agent's port: `/metrics`.
final class AgentPages {
    private let loops: LoopGroup<AgentLoop>
    private let loop: EventLoop
    private let log: Log
    /// Whose pages they are.
    weak var port: AdminPort?

    init(loops: LoopGroup<AgentLoop>, loop: EventLoop, log: Log) {
        self.loops = loops
        self.loop = loop
        self.log = log
    }

    /// Answers once, at once or in a later turn.
    func respond(to request: AdminRequest, _ answer: @escaping (AdminAnswer) -> Void) {
        guard request.path == ["metrics"] else { return answer(.error(404, "not found")) }
        Gathering.start(from: loops, to: loop) { ($0.metrics.mapValues(\.snapshot), $0.faults) } completion: { [self] parts in
            answer(AdminAnswer(status: 200, contentType: PrometheusText.contentType, body: page(parts)))
        }
    }

    private func page(_ parts: [([String: ProxySnapshot], AgentFaults)]) -> String {
        var sum: [String: ProxySnapshot] = [:]
        var faults = AgentFaults()
        for (snapshots, more) in parts {
            for (endpoint, snapshot) in snapshots { sum[endpoint, default: ProxySnapshot()].add(snapshot) }
            faults.add(more)
        }
        var page = PrometheusText()
        page.add(sum.sorted { $0.key < $1.key }.map { (labels: [("endpoint", $0.key)], snapshot: $0.value) }, prefix: "piko_agent")
        page.add(faults)
        if let port {
            page.add(refusedAdminRequests: port.refused)
            page.add(exhaustedDescriptors: port.exhausted)
        }
        page.add(droppedLines: log.dropped)
        return page.text
    }
}
