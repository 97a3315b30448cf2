// SPDX-License-Identifier: MIT
// Under which reason an agent counts what it could not reach, and what servers did to it.
// Values only.

import PikoClient
import PikoEngine
import Testing

@testable import PikoControl

struct AgentFaultsTests {
    @Test("agent: each way in which a dial fails has its reason, and the loops add up")
    func reasons() {
        let failures: [(DialFailure, String)] = [
            (.transport(.timeout), "unreachable"), (.transport(.notTLS), "tls"), (.proxy("p:1", .refused(status: 407, reason: "")), "proxy"),
            (.proxy("p:1", .unreachable(.timeout)), "proxy"), (.token("expected a file"), "token"), (.refused(status: 401, text: ""), "token"),
            (.refused(status: 503, text: ""), "refused"), (.malformed("no HTTP"), "malformed"),
        ]
        var faults = AgentFaults()
        for (failure, reason) in failures {
            #expect(DialFault(failure).rawValue == reason)
            faults.count(failure)
        }
        faults.countService(of: "web")
        for error in [EngineError.protocolViolation, .limit, .limit, .reset, .closed] {
            if let fault = SessionFault(endedBy: error) { faults.count(fault) }
        }
        var sum = faults
        sum.add(faults)
        var page = PrometheusText()
        page.add(sum)
        #expect(page.text.contains("piko_agent_dials_failed_total{reason=\"proxy\"} 4\n"))
        #expect(page.text.contains("piko_agent_dials_failed_total{reason=\"tls\"} 2\n"))
        #expect(page.text.contains("piko_agent_protocol_errors_total 2\n"))
        #expect(page.text.contains("piko_agent_faults_total{kind=\"unread\"} 4\n"))
        #expect(page.text.contains("piko_agent_faults_total{kind=\"frame\"} 0\n"))
        #expect(page.text.contains("piko_agent_services_unreached_total{endpoint=\"web\"} 2\n"))
    }
}
