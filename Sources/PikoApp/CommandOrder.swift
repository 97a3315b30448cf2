// SPDX-License-Identifier: MIT
// Brings a command line into the order that ArgumentParser knows: the command's words first, then its flags and arguments.
// Users of Piko 0.9 write flags before the last word too (`piko agent --connect.url URL http ENDPOINT ADDR`). Pure.

import PikoCore

enum CommandOrder {
    /// A word of the command tree: what may follow it, which of its flags need a value, and what it means when no word follows.
    struct Word {
        var next: [String: Word] = [:]
        var valued: Set<String> = []
        /// The word that is meant when an argument, or nothing, follows.
        var standard: String?
    }

    /// An unknown word is an error.
    static func normalized(_ arguments: [String]) throws -> [String] {
        let isHelp = arguments.first == "help"
        let arguments = isHelp ? arguments.dropFirst() + ["--help"] : arguments
        var path: [String] = []
        var moved: [String] = []
        var rest = arguments[...]
        var word = root
        var valued: Set<String> = []
        while !word.next.isEmpty, let first = rest.first, first != "--" {
            if let next = word.next[first] {
                path.append(first)
                valued.formUnion(word.valued)
                word = next
                rest = rest.dropFirst()
            } else if first.hasPrefix("-"), first.count > 1, !path.isEmpty {
                moved += takeFlag(&rest, valued.union(word.valued))
            } else if word.standard == nil, !first.hasPrefix("-") {
                throw unknown(path + [first], among: word)
            } else {
                break
            }
        }
        if let standard = word.standard {
            path.append(standard)
        } else if !word.next.isEmpty {
            try checkUnfinished(path, moved + rest, among: word)
        }
        return path + moved + rest
    }

    /// A command line that ends before its command does may only ask for help or the version.
    private static func checkUnfinished(_ path: [String], _ flags: [String], among word: Word) throws {
        if flags.isEmpty || flags.contains(where: informing.contains) { return }
        if path.isEmpty { throw CommandExit.failure("\(flags[0]): unknown flag") }
        let known = word.next.keys.sorted().joined(separator: ", ")
        throw CommandExit.failure("\(path.joined(separator: " ")): missing command, expected \(known)")
    }

    private static let informing: Set<String> = ["-h", "--help", "--version"]

    private static func unknown(_ path: [String], among word: Word) -> CommandExit {
        let known = word.next.keys.sorted().joined(separator: ", ")
        return .failure("\(path.joined(separator: " ")): unknown command, expected \(known)")
    }

    private static func takeFlag(_ rest: inout ArraySlice<String>, _ valued: Set<String>) -> [String] {
        let flag = rest.removeFirst()
        guard valued.contains(flag), let value = rest.popFirst() else { return [flag] }
        // A PEM text begins like a flag, and ArgumentParser would take it for one.
        return value.hasPrefix("-") ? ["\(flag)=\(value)"] : [flag, value]
    }

    private static var root: Word {
        let gossip = Word(next: ["nodes": Word(), "node": Word()])
        let status = Word(next: ["upstream": Word(next: ["endpoints": Word()]), "cluster": gossip, "gossip": gossip], valued: flags(StatusConfiguration.keys + [StatusConfiguration.statusKey]))
        let agent = flags(AgentConfiguration.keys)
        let forward = flags(ForwardConfiguration.keys)
        return Word(next: [
            "server": Word(next: ["status": status], valued: flags(ServerConfiguration.keys), standard: "run"),
            "agent": Word(next: ["http": Word(), "tcp": Word(), "start": Word()], valued: agent),
            "forward": Word(next: ["tcp": Word(), "start": Word()], valued: forward, standard: "tcp"),
            "bench": Word(next: ["http": Word()], valued: flags(BenchConfiguration.keys)),
            "test": Word(next: ["cluster": Word()], valued: flags(TestClusterConfiguration.keys)),
        ])
    }

    private static func flags<Root>(_ keys: [ConfigurationKey<Root>]) -> Set<String> {
        let own = keys.filter { !$0.isBoolean }.map(\.flag)
        let file = FileOptions.keys.under("config", \Loaded<Root>.file).filter { !$0.isBoolean }.map(\.flag)
        return Set(own + file)
    }
}
