// SPDX-License-Identifier: MIT
// Opens a YAML file and turns it into the tree that PikoCore reads. The only place that knows YAML. Main thread, before
// anything starts.

import FoundationEssentials
import PikoCore
import Yams

enum YAMLFile {
    /// Reads the file that the options name, if any. Errors begin with the file's name and the line.
    static func read<Root>(_ options: FileOptions, into root: inout Root, _ keys: [ConfigurationKey<Root>]) throws {
        guard !options.path.isEmpty else { return }
        let text = try contents(of: options)
        do {
            guard let node = try tree(text) else { return }
            try FileReader(keys).read(node, into: &root)
        } catch let error as ConfigurationError {
            let place = error.line.map { "\(options.path):\($0)" } ?? options.path
            throw ConfigurationError("\(place): \(error.message)")
        }
    }

    private static func contents(of options: FileOptions) throws -> String {
        guard let data = try? Data(contentsOf: URL(filePath: options.path)) else {
            throw ConfigurationError("config.path: expected a file that can be read, got \"\(options.path)\"")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw ConfigurationError("\(options.path): expected UTF-8 text")
        }
        guard options.expandEnv else { return text }
        return EnvironmentExpansion.expand(text) { ProcessInfo.processInfo.environment[$0] }
    }

    private static func tree(_ text: String) throws -> ConfigurationNode? {
        do {
            var tree = YAMLTree()
            return try Yams.compose(yaml: text).map { try tree.convert($0) }
        } catch let error as YamlError {
            throw convert(error)
        }
    }

    private static func convert(_ error: YamlError) -> ConfigurationError {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _), .composer(_, let problem, let mark, _):
            ConfigurationError("not YAML: \(problem)", line: mark.line)
        case .duplicatedKeysInMapping(let duplicates, let context):
            ConfigurationError("\(duplicates.first ?? "a key"): given twice", line: context.mark.line)
        default:
            ConfigurationError("not YAML: \(error)")
        }
    }
}

/// Yams' tree turned into ours, up to a bound: aliases can make a short file a tree without end.
private struct YAMLTree {
    private var left = 100_000

    mutating func convert(_ node: Node) throws -> ConfigurationNode {
        let line = node.mark?.line ?? 1
        left -= 1
        guard left > 0 else { throw ConfigurationError("expected a file of fewer values", line: line) }
        switch node {
        case .scalar(let scalar):
            return ConfigurationNode(content(of: scalar, in: node), line: line)
        case .sequence(let sequence):
            return ConfigurationNode(.list(try list(sequence)), line: line)
        case .mapping(let mapping):
            return ConfigurationNode(.mapping(try mapping.map { try entry($0, $1) }), line: line)
        case .alias:
            return ConfigurationNode(.null, line: line)
        }
    }

    /// The only element of a list is none where its variable has no value.
    private mutating func list(_ sequence: Node.Sequence) throws -> [ConfigurationNode] {
        let nodes = try sequence.map { try convert($0) }
        return nodes.count == 1 && sequence[0].scalar?.string == String(Character(EnvironmentExpansion.gap)) && nodes[0].content == .null ? [] : nodes
    }

    private func content(of scalar: Node.Scalar, in node: Node) -> ConfigurationNode.Content {
        let isPlain = scalar.style == .plain || scalar.style == .any
        if isPlain, node.null != nil { return .null }
        let text = withoutGaps(scalar.string)
        if text.isEmpty, !scalar.string.isEmpty { return isPlain ? .null : .unset }
        return .scalar(text)
    }

    private func withoutGaps(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.filter { $0 != EnvironmentExpansion.gap }))
    }

    private mutating func entry(_ key: Node, _ value: Node) throws -> ConfigurationNode.Entry {
        ConfigurationNode.Entry(key: key.scalar.map { withoutGaps($0.string) } ?? "?", line: key.mark?.line ?? 1, value: try convert(value))
    }
}
