// SPDX-License-Identifier: MIT
// What the peers of tunnels and of sessions between nodes did against the rules, for metrics. A tunnel or session that was only lost is none of it.
// Any thread.

import PikoEngine
import Synchronization

/// What the other end of a session did.
enum SessionFault: Int, CaseIterable, Sendable {
    /// It broke the protocol: the session was ended.
    case brokenProtocol
    /// It read nothing of what it had this end say: the session was ended.
    case unread
    /// It opened a stream, which only this end does: that was refused.
    case stream
    /// A frame that broke a rule and harmed nobody, or a stream beyond the bound.
    case frame
    /// It opened a stream and is no member of the cluster any more: that was refused.
    case stranger

    /// By which a session has ended; nil: it ended in order, or was only lost.
    init?(endedBy error: EngineError?) {
        switch error {
        case .protocolViolation?: self = .brokenProtocol
        case .limit?: self = .unread
        default: return nil
        }
    }

    /// As a label of a counter.
    var label: String { self == .brokenProtocol ? "protocol" : String(describing: self) }
}

/// How often peers of one kind did so.
final class SessionFaults: Sendable {
    private let counts = Mutex([UInt64](repeating: 0, count: SessionFault.allCases.count))

    func count(_ fault: SessionFault) { counts.withLock { $0[fault.rawValue] &+= 1 } }

    /// A session has ended so; nil: in order.
    func count(endedBy error: EngineError?) {
        if let fault = SessionFault(endedBy: error) { count(fault) }
    }

    subscript(fault: SessionFault) -> UInt64 { counts.withLock { $0[fault.rawValue] } }
}

extension PrometheusText {
    /// Not of the original.
    mutating func add(faultsOfAgents agents: SessionFaults, ofNodes nodes: SessionFaults) {
        begin("piko_upstreams_protocol_errors_total", .counter, "Tunnels ended because their agent broke the protocol.")
        sample(agents[.brokenProtocol])
        begin("piko_upstreams_faults_total", .counter, "What else agents did against the rules of their tunnel.")
        sample(agents, [.unread, .stream, .frame])
        begin("piko_nodes_faults_total", .counter, "What other nodes did against the rules of a session.")
        sample(nodes, SessionFault.allCases)
    }

    private mutating func sample(_ faults: SessionFaults, _ kinds: [SessionFault]) {
        for kind in kinds { sample([("kind", kind.label)], faults[kind]) }
    }
}
