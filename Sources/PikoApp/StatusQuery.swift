// SPDX-License-Identifier: MIT
// One question to the admin port of a node, and its answer as YAML on standard output.
// Main thread; waits for the answer.

import PikoControl
import PikoCore
import Yams

struct StatusQuery {
    /// Behind "piko server status".
    var usage: String
    var about: String
    /// Behind "/status/".
    var page: String
    /// Beside those that all have.
    var keys: [ConfigurationKey<StatusConfiguration>] = []
    /// The name of the argument that goes behind the page; nil: it has none.
    var argument: String?

    /// Reads the flags, asks, and prints what `shape` makes of the answer.
    func run(_ arguments: [String], shape: (Node, StatusConfiguration) throws -> Node) throws {
        let all = StatusConfiguration.keys + keys
        let reader = FlagReader(all)
        let given = try reader.split(arguments)
        var configuration = StatusConfiguration()
        if given.wantsHelp {
            let help = CommandHelp(usage: "server status \(usage) [flags]", about: about)
            throw CommandExit.text(help.text(FlagHelp.text(all, defaults: configuration)))
        }
        if given.wantsVersion { throw CommandExit.text(CommandExit.version) }
        try reader.apply(given, to: &configuration)
        let path = try path(given.rest, configuration)
        try configuration.check()
        do {
            let answer = try AdminQuery.get(path, of: configuration)
            throw CommandExit.text(try Self.text(shape(try StatusAnswer.read(answer), configuration)))
        } catch let error as PageFailure {
            throw CommandExit.failure("\(configuration.url): \(error.reason)")
        }
    }

    private func path(_ rest: [String], _ configuration: StatusConfiguration) throws -> String {
        var path = "/status/\(page)"
        var rest = rest[...]
        if let argument {
            guard let value = rest.popFirst(), !value.isEmpty else { throw CommandExit.failure("missing argument: \(argument)") }
            path += "/\(PercentEncoding.pathSegment(value))"
        }
        if let extra = rest.first { throw CommandExit.failure("unexpected argument: \(ShownText.masked(extra))") }
        return configuration.forward.isEmpty ? path : "\(path)?forward=\(PercentEncoding.pathSegment(configuration.forward))"
    }

    private static func text(_ node: Node) throws -> String {
        let text = try Yams.serialize(node: node.asBlocks)
        return text.last == "\n" ? String(text.dropLast()) : text
    }
}
