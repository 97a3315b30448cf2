// SPDX-License-Identifier: MIT
// What an agent could not reach, its server and its services, and what servers did against the rules of a tunnel, for metrics.
// A plain value of one loop; those of all loops add up.

import PikoClient
import PikoEngine

/// Why a dial to the server came to nothing.
enum DialFault: String, CaseIterable, Sendable {
    /// Below HTTP: refused, timed out, no such name, reset.
    case unreachable
    case tls
    /// The proxy on the way was not reached, or let nothing through.
    case proxy
    /// The server took no token, or another one; or there was none to send.
    case token
    /// The server answered with another status.
    case refused
    /// What answered is no server of ours.
    case malformed

    init(_ failure: DialFailure) {
        self =
            switch failure {
            case .transport(let error): error.isTLS ? .tls : .unreachable
            case .proxy: .proxy
            case .token, .refused(status: 401, _): .token
            case .refused: .refused
            case .malformed: .malformed
            }
    }
}

/// What one loop, or several together, could not reach, and what servers did to them.
struct AgentFaults: Equatable, Sendable {
    private(set) var dials: [DialFault: UInt64] = [:]
    /// Times that a service was not reached, by endpoint.
    private(set) var services: [String: UInt64] = [:]
    /// What servers did.
    private(set) var tunnels: [SessionFault: UInt64] = [:]

    mutating func count(_ failure: DialFailure) { dials[DialFault(failure), default: 0] += 1 }

    mutating func count(_ fault: SessionFault) { tunnels[fault, default: 0] += 1 }

    mutating func countService(of endpoint: String) { services[endpoint, default: 0] += 1 }

    mutating func add(_ other: AgentFaults) {
        dials.merge(other.dials, uniquingKeysWith: +)
        services.merge(other.services, uniquingKeysWith: +)
        tunnels.merge(other.tunnels, uniquingKeysWith: +)
    }
}

extension PrometheusText {
    mutating func add(_ faults: AgentFaults) {
        begin("piko_agent_dials_failed_total", .counter, "Dials to the server that opened no tunnel.")
        for fault in DialFault.allCases { sample([("reason", fault.rawValue)], faults.dials[fault] ?? 0) }
        begin("piko_agent_protocol_errors_total", .counter, "Tunnels ended because their server broke the protocol.")
        sample(faults.tunnels[.brokenProtocol] ?? 0)
        begin("piko_agent_faults_total", .counter, "What else servers did against the rules of a tunnel.")
        for fault in [SessionFault.unread, .frame] { sample([("kind", fault.label)], faults.tunnels[fault] ?? 0) }
        begin("piko_agent_services_unreached_total", .counter, "Connections to the service that did not come about.")
        for (endpoint, count) in faults.services.sorted(by: { $0.key < $1.key }) { sample([("endpoint", endpoint)], count) }
    }
}
