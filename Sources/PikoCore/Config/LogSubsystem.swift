// SPDX-License-Identifier: MIT
// The names that `log.subsystems` may have: a misspelled one would be silent for ever, so whoever starts says so. It is no fault: a file of
// another version may have names that this one lacks.
// A plain list; a logger's name is its owner's matter.

enum LogSubsystem {
    /// Those that log.
    static let ours = [
        "main", "agent", "agent.tcp", "agent.tcp.access", "auth", "bench", "cluster", "forward", "gossip", "log", "proxy", "proxy.access", "tls", "upstream",
    ]
    /// Those of Piko 0.9, which configuration files have, where ours have other names or say the same elsewhere.
    static let originals = ["admin", "client", "cluster.manager", "forwarder", "proxy.http", "proxy.tcp", "proxy.tcp.access", "server"]
}

extension LogConfiguration {
    /// Names in `subsystems` that no logger has: neither ours nor one of Piko 0.9.
    public var unknownSubsystems: [String] { subsystems.filter { !LogSubsystem.ours.contains($0) && !LogSubsystem.originals.contains($0) } }
    /// Names of those that log.
    public static var knownSubsystems: [String] { LogSubsystem.ours }
}
