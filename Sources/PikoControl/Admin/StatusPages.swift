// SPDX-License-Identifier: MIT
// What nodes, endpoints and gossip look like on the status pages: the original's fields, names and order (protocol.md, "Admin").
// Pure; values in, JSON out.

import FoundationEssentials
import PikoCore

extension JSONValue {
    /// Listeners by endpoint.
    init(_ endpoints: [String: Int]) {
        self = .object(endpoints.sorted { $0.key < $1.key }.map { ($0.key, .number(UInt64(clamping: $0.value))) })
    }

    /// A node as the list of nodes has it: how many endpoints, and their listeners together.
    init(summaryOf node: ClusterNode) {
        self = .object(
            Self.place(node) + [
                ("endpoints", .number(UInt64(node.endpoints.count))),
                ("upstreams", .number(UInt64(clamping: node.upstreamCount))),
            ])
    }

    /// A node as its own page has it.
    init(_ node: ClusterNode) {
        self = .object(Self.place(node) + [("endpoints", JSONValue(node.endpoints))])
    }

    private static func place(_ node: ClusterNode) -> [(String, JSONValue)] {
        [
            ("id", .text(node.id)), ("status", .text(node.status.rawValue)), ("proxy_addr", .text(node.proxyAddress)),
            ("admin_addr", .text(node.adminAddress)),
        ]
    }

    /// What gossip knows of a node. `clock`: what its expiry is read by. `entries`: nil leaves them out.
    init(_ state: GossipNodeState, entries: [GossipEntry]? = nil, clock: WallClock) {
        let fields: [(String, JSONValue)] = [
            ("id", .text(state.peer.id)), ("addr", .text(state.peer.address)), ("version", .number(state.version)),
            ("left", .flag(state.status == .left)), ("unreachable", .flag(state.status == .unreachable)),
            ("expiry", .text(clock.text(state.expiry))),
        ]
        self = .object(fields + (entries.map { [("Entries", .list($0.map(JSONValue.init)))] } ?? []))
    }

    private init(_ entry: GossipEntry) {
        self = .object([
            ("key", .text(entry.key)), ("value", .text(entry.value)), ("version", .number(entry.version)),
            ("internal", .flag(entry.isInternal)), ("deleted", .flag(entry.isDeleted)),
        ])
    }
}

/// Turns moments of a loop's clock into dates.
struct WallClock {
    /// Milliseconds of the loop's clock, and seconds since 1970 at that moment.
    let loopNow: UInt64
    let wallNow: Double

    init(loopNow: UInt64, wallNow: Double = Date().timeIntervalSince1970) {
        self.loopNow = loopNow
        self.wallNow = wallNow
    }

    /// RFC 3339; no moment is Go's zero time, which the original writes.
    func text(_ moment: UInt64?) -> String {
        guard let moment else { return "0001-01-01T00:00:00Z" }
        let left = Double(moment) - Double(loopNow)
        return Date(timeIntervalSince1970: wallNow + left / 1000).formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}
