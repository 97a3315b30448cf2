// SPDX-License-Identifier: MIT
// What goes wrong with a request or a connection and is not to be seen by the status of an answer, or not well enough.
// Plain values, counted by ProxyMetrics.

/// One of the things that a proxy counts beside its answers.
enum ProxyFault: Int, CaseIterable, Sendable {
    /// A body broke its framing, or ended before its end.
    case requestMalformed, requestTruncated, responseMalformed, responseTruncated
    /// An exchange was cut for a time limit when its response had begun, perhaps was whole; an upgrade too.
    case overdue
    /// A client sent nothing in the time for a head.
    case silent
    /// A long head, a client's or an upstream's, for which there was no memory left.
    case requestUnheld, responseUnheld

    /// Of those about a body: whose it was, and how it broke.
    fileprivate static let ofBodies: [(fault: ProxyFault, side: String, kind: String)] = [
        (.requestMalformed, "client", "malformed"), (.requestTruncated, "client", "truncated"),
        (.responseMalformed, "upstream", "malformed"), (.responseTruncated, "upstream", "truncated"),
    ]
}

extension PrometheusText {
    /// Not of the original.
    mutating func addFaults(_ parts: [(labels: [(String, String)], snapshot: ProxySnapshot)], _ prefix: String) {
        begin("\(prefix)_bodies_broken_total", .counter, "Bodies that were malformed or ended too early, by whose they were.")
        for part in parts {
            for (fault, side, kind) in ProxyFault.ofBodies {
                sample(part.labels + [("side", side), ("kind", kind)], part.snapshot.faults[fault.rawValue])
            }
        }
        begin("\(prefix)_responses_overdue_total", .counter, "Exchanges cut for a time limit when the response had begun.")
        for part in parts { sample(part.labels, part.snapshot.faults[ProxyFault.overdue.rawValue]) }
        begin("\(prefix)_connections_silent_total", .counter, "Connections that sent nothing in the time for a head.")
        for part in parts { sample(part.labels, part.snapshot.faults[ProxyFault.silent.rawValue]) }
        begin("\(prefix)_heads_unheld_total", .counter, "Long heads that no memory was left for, by whose they were.")
        for part in parts {
            for (fault, side) in [(ProxyFault.requestUnheld, "client"), (.responseUnheld, "upstream")] {
                sample(part.labels + [("side", side)], part.snapshot.faults[fault.rawValue])
            }
        }
    }
}
