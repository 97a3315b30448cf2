// SPDX-License-Identifier: MIT
// Reads the tree of a configuration file into a configuration, by its keys. Pure: parsing the format and opening the file are
// others' work. Every error names the key and the line.

/// Fills a `Root` from a tree.
public struct FileReader<Root> {
    private let keys: [ConfigurationKey<Root>]
    private let place: String

    /// `place` is what errors put in front of the keys: "listeners[0]" of an element; empty for the whole file.
    public init(_ keys: [ConfigurationKey<Root>], under place: String = "") {
        self.keys = keys
        self.place = place
    }

    /// Sets what the tree has and leaves the rest as it is.
    public func read(_ node: ConfigurationNode, into root: inout Root) throws(ConfigurationError) {
        try read(node, at: "", into: &root)
    }

    private func read(_ node: ConfigurationNode, at path: String, into root: inout Root) throws(ConfigurationError) {
        let entries: [ConfigurationNode.Entry]
        switch node.content {
        case .null: return
        case .mapping(let found): entries = found
        default: throw ConfigurationError("\(name(path)): expected a mapping of keys", line: node.line)
        }
        var seen: Set<String> = []
        for entry in entries {
            let inner = path.isEmpty ? entry.key : "\(path).\(entry.key)"
            guard seen.insert(entry.key).inserted else {
                throw ConfigurationError("\(name(inner)): given twice", line: entry.line)
            }
            try read(entry, at: inner, into: &root)
        }
    }

    private func read(_ entry: ConfigurationNode.Entry, at path: String, into root: inout Root) throws(ConfigurationError) {
        if let key = keys.first(where: { $0.path == path }) {
            try read(entry.value, as: key, into: &root)
        } else if keys.contains(where: { $0.path.hasPrefix(path + ".") }) {
            try read(entry.value, at: path, into: &root)
        } else {
            throw unknown(path, line: entry.line)
        }
    }

    private func read(_ node: ConfigurationNode, as key: ConfigurationKey<Root>, into root: inout Root) throws(ConfigurationError) {
        do {
            try assign(node, to: key, in: &root)
        } catch {
            throw ConfigurationError(error.message, line: error.line ?? node.line)
        }
    }

    private func assign(_ node: ConfigurationNode, to key: ConfigurationKey<Root>, in root: inout Root) throws(ConfigurationError) {
        switch node.content {
        case .null where key.takesNothing:
            return
        case .null:
            try key.assign(&root, key.isList ? [] : [""], name(key.path))
        case .scalar("") where !key.isList && key.written(root).isEmpty:
            return  // as in the list of all keys that Piko 0.9 shows: none, which is what there is
        case .unset where !key.isList:
            try key.assign(&root, [""], name(key.path))
        case .scalar(let text) where !key.isList:
            try key.assign(&root, [text], name(key.path))
        case .list(let nodes) where key.isList:
            if let readNodes = key.readNodes { return try readNodes(&root, nodes, name(key.path)) }
            try key.assign(&root, try texts(nodes, key), name(key.path))
        default:
            throw ConfigurationError("\(name(key.path)): expected \(key.isList ? "a list" : "a single value")")
        }
    }

    private func texts(_ nodes: [ConfigurationNode], _ key: ConfigurationKey<Root>) throws(ConfigurationError) -> [String] {
        var texts: [String] = []
        for node in nodes {
            switch node.content {
            case .scalar(let text): texts.append(text)
            case .unset: texts.append("")
            default: throw ConfigurationError("\(name(key.path)): expected a list of single values", line: node.line)
            }
        }
        return texts
    }

    private func unknown(_ path: String, line: Int) -> ConfigurationError {
        let known = Set(keys.flatMap { Self.prefixes(of: $0.path) })
        let hint = Suggestion.closest(to: path, among: known).map { ", did you mean \(name($0))?" } ?? ""
        return ConfigurationError("\(name(path)): unknown key\(hint)", line: line)
    }

    /// "a", "a.b", "a.b.c" of "a.b.c".
    private static func prefixes(of path: String) -> [String] {
        var prefix = ""
        return path.split(separator: ".").map { part in
            prefix += prefix.isEmpty ? part : ".\(part)"
            return prefix
        }
    }

    private func name(_ path: String) -> String {
        if path.isEmpty { return place.isEmpty ? "the file" : place }
        return place.isEmpty ? path : "\(place).\(path)"
    }
}
