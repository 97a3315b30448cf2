// SPDX-License-Identifier: MIT
// One question to the admin port of a node, and its answer as YAML on standard output.
// Main thread; waits for the answer.

import FoundationEssentials
import PikoControl
import PikoCore
import Yams

enum StatusQuery {
    /// Reads the flags, asks for `path` and prints what comes back.
    static func run(
        _ arguments: [String], usage: String, about: String, path: (StatusConfiguration) -> String
    ) throws {
        let keys = StatusConfiguration.keys
        let reader = FlagReader(keys)
        let given = try reader.split(arguments)
        var configuration = StatusConfiguration()
        if given.wantsHelp {
            let help = CommandHelp(usage: "server status \(usage) [flags]", about: about)
            throw CommandExit.text(help.text(FlagHelp.text(keys, defaults: configuration)))
        }
        if given.wantsVersion { throw CommandExit.text(CommandExit.version) }
        try reader.apply(given, to: &configuration)
        if let extra = given.rest.first { throw CommandExit.failure("unexpected argument: \(extra)") }
        guard configuration.url.scheme == .http else { throw CommandExit.failure("--server.url: https is not supported yet") }
        if !configuration.forward.isEmpty { throw CommandExit.failure("--forward: not supported yet") }
        do {
            let answer = try AdminQuery.get(configuration.url, path: path(configuration))
            throw CommandExit.text(try yaml(answer))
        } catch let error as AdminQueryFailure {
            throw CommandExit.failure("\(configuration.url): \(error.reason)")
        }
    }

    /// JSON is YAML; printed anew in the block style.
    private static func yaml(_ json: String) throws -> String {
        guard var node = try? Yams.compose(yaml: json) else { throw CommandExit.failure("server.url: expected JSON from the admin port") }
        node.asBlocks()
        let text = try Yams.serialize(node: node)
        return text.last == "\n" ? String(text.dropLast()) : text
    }
}

extension Node {
    /// Without the flow style that JSON has.
    fileprivate mutating func asBlocks() {
        switch self {
        case .mapping(var mapping):
            if !mapping.isEmpty { mapping.style = .block }
            self = .mapping(mapping)
        case .sequence(var sequence):
            if !sequence.isEmpty { sequence.style = .block }
            self = .sequence(sequence)
        case .scalar(var scalar):
            scalar.style = .any
            self = .scalar(scalar)
        case .alias: break
        }
    }
}
