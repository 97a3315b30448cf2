// SPDX-License-Identifier: MIT
// Splits a command line into flags and the rest, by a table of keys, and applies the flags. Pure.
// `--x=value`, `--x value`, `--x` and `--x=false` for booleans, lists by repetition or commas; "--" ends the flags.

/// The flags of one command line.
public struct FlagReader<Root> {
    private let keys: [ConfigurationKey<Root>]

    public init(_ keys: [ConfigurationKey<Root>]) { self.keys = keys.filter(\.isValue) }

    /// What was given: the texts of each key by its path, and what is no flag.
    public struct Given: Equatable, Sendable {
        public var values: [String: [String]] = [:]
        public var rest: [String] = []
        public var wantsHelp = false
        public var wantsVersion = false
    }

    /// Splits only. An unknown flag and a missing value are errors, unless help is asked for.
    public func split(_ arguments: [String]) throws(ConfigurationError) -> Given {
        var given = Given()
        let flags = arguments.prefix { $0 != "--" }
        given.wantsHelp = flags.contains { $0 == "--help" || $0 == "-h" }
        given.wantsVersion = flags.contains("--version")
        if given.wantsHelp || given.wantsVersion { return given }
        var left = arguments[...]
        while let argument = left.popFirst() {
            if argument == "--" {
                given.rest += left
                break
            } else if argument.hasPrefix("-"), argument != "-" {
                try take(argument, &left, &given)
            } else {
                given.rest.append(argument)
            }
        }
        return given
    }

    /// Puts the values into a configuration. Flags win over what is there.
    public func apply(_ given: Given, to root: inout Root) throws(ConfigurationError) {
        for key in keys {
            guard let texts = given.values[key.path] else { continue }
            try key.assign(&root, key.isList ? texts : [texts[texts.count - 1]], key.flag)
        }
    }

    private func take(_ argument: String, _ left: inout ArraySlice<String>, _ given: inout Given) throws(ConfigurationError) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        guard let key = keys.first(where: { $0.flag == name }) else { throw unknown(name) }
        let value: String
        if parts.count == 2 {
            value = String(parts[1])
        } else if key.isBoolean {
            value = "true"
        } else if let next = left.popFirst() {
            value = next
        } else {
            throw ConfigurationError("\(name): expected a value")
        }
        let texts = key.isList ? value.split(separator: ",").map(String.init) : [value]
        given.values[key.path, default: []] += texts
    }

    private func unknown(_ name: String) -> ConfigurationError {
        let hint = Suggestion.closest(to: name, among: keys.map(\.flag)).map { ", did you mean \($0)?" } ?? ""
        return ConfigurationError("\(name): unknown flag\(hint)")
    }
}
