// SPDX-License-Identifier: MIT
// The names that `log.subsystems` may have: a misspelled one would be silent for ever.
// A plain list; a logger's name is its owner's matter.

enum LogSubsystem {
    /// Those that log.
    private static let ours = [
        "main", "agent", "agent.tcp", "agent.tcp.access", "auth", "bench", "cluster", "forward", "gossip", "log", "proxy", "proxy.access", "tls", "upstream",
    ]
    /// Those of Piko 0.9, which configuration files have, where ours have other names or say the same elsewhere.
    private static let originals = ["admin", "client", "cluster.manager", "forwarder", "proxy.http", "proxy.tcp", "proxy.tcp.access", "server"]

    static func isKnown(_ name: String) -> Bool { ours.contains(name) || originals.contains(name) }

    /// For errors.
    static var expected: String { "a list of subsystems: \(ours.joined(separator: ", "))" }
}
