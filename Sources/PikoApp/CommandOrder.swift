// SPDX-License-Identifier: MIT
// Brings a command line into the order that ArgumentParser knows: the command's words first, then its flags and arguments.
// Users of Piko 0.9 write flags before the last word too (`piko agent --connect.url URL http ENDPOINT ADDR`). Pure.

import PikoCore

enum CommandOrder {
    /// A word of the command tree: what may follow it, which of its flags need no value, and what it means when no word follows.
    struct Word {
        var next: [String: Word] = [:]
        var booleans: Set<String> = []
        /// The word that is meant when an argument, or nothing, follows.
        var standard: String?
    }

    static func normalized(_ arguments: [String]) -> [String] {
        var path: [String] = []
        var moved: [String] = []
        var rest = arguments[...]
        var word = root
        while !word.next.isEmpty, let first = rest.first, first != "--" {
            if let next = word.next[first] {
                path.append(first)
                word = next
                rest = rest.dropFirst()
            } else if first.hasPrefix("-"), first.count > 1, !path.isEmpty {
                moved += takeFlag(&rest, word.booleans)
            } else {
                break
            }
        }
        if let standard = word.standard { path.append(standard) }
        return path + moved + rest
    }

    private static func takeFlag(_ rest: inout ArraySlice<String>, _ booleans: Set<String>) -> [String] {
        let flag = rest.removeFirst()
        let isWhole = flag.contains("=") || booleans.contains(flag) || informing.contains(flag)
        guard !isWhole, let value = rest.popFirst() else { return [flag] }
        return [flag, value]
    }

    private static let informing: Set<String> = ["-h", "--help", "--version"]

    private static var root: Word {
        let gossip = Word(next: ["nodes": Word(), "node": Word()])
        let status = Word(next: ["upstream": Word(next: ["endpoints": Word()]), "cluster": gossip, "gossip": gossip])
        let agent = flags(AgentConfiguration.keys)
        let forward = flags(ForwardConfiguration.keys)
        return Word(next: [
            "server": Word(next: ["status": status], booleans: flags(ServerConfiguration.keys), standard: "run"),
            "agent": Word(next: ["http": Word(), "tcp": Word(), "start": Word()], booleans: agent),
            "forward": Word(next: ["tcp": Word(), "start": Word()], booleans: forward, standard: "tcp"),
            "bench": Word(next: ["http": Word()], booleans: flags(BenchConfiguration.keys)),
            "test": Word(next: ["cluster": Word()]),
        ])
    }

    private static func flags<Root>(_ keys: [ConfigurationKey<Root>]) -> Set<String> {
        Set((keys.filter(\.isBoolean).map(\.flag)) + FileOptions.keys.under("config", \Loaded<Root>.file).filter(\.isBoolean).map(\.flag))
    }
}
