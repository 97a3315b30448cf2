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
        guard let node = try? Yams.compose(yaml: json) else { throw CommandExit.failure("--server.url: expected JSON from the admin port") }
        let text = try Yams.serialize(node: node.asBlocks)
        return text.last == "\n" ? String(text.dropLast()) : text
    }
}

extension Node {
    /// Without the flow style and the quotes that JSON has; texts that would read as something else keep theirs.
    fileprivate var asBlocks: Node {
        switch self {
        case .mapping(let mapping):
            let pairs = mapping.map { ($0.key.asBlocks, $0.value.asBlocks) }
            return .mapping(Mapping(pairs, .implicit, mapping.isEmpty ? .flow : .block))
        case .sequence(let sequence):
            return .sequence(Sequence(sequence.map(\.asBlocks), .implicit, sequence.isEmpty ? .flow : .block))
        case .scalar(let scalar):
            let isText = scalar.style == .doubleQuoted
            let keepsQuotes = isText && Node(scalar.string).tag != Tag(.str)
            return .scalar(Scalar(scalar.string, .implicit, keepsQuotes ? .doubleQuoted : .any))
        case .alias:
            return self
        }
    }
}
