// SPDX-License-Identifier: MIT
// The declarative description of one key: its name, type, place in the configuration, and whether it has an effect. Flags, files,
// help and errors all come from these. Tables of keys are values made on demand, on the main thread at start.

/// What a key does.
public enum KeySupport: Equatable, Sendable {
    case works
    /// Taken and without effect.
    case noEffect
}

/// One key of a configuration of type `Root`.
public struct ConfigurationKey<Root> {
    /// As in a file, from the root: "proxy.http.max_header_bytes".
    public internal(set) var path: String
    /// One or two sentences.
    public internal(set) var help: String
    public internal(set) var support = KeySupport.works
    /// A change of it takes effect without a restart (ReloadPlan). Of a list of mappings: of the list as a whole.
    public internal(set) var isLive = false
    let placeholder: String
    let isList: Bool
    /// Has a value of its own, so it can be a flag; a list of mappings cannot.
    let isValue: Bool
    /// Given with nothing behind it, it is as good as left out (ValueType).
    let takesNothing: Bool
    /// The value that a `Root` has, as text.
    let written: (Root) -> String
    /// Takes the texts of a flag or of a file's scalar or list. `name` is what errors call the key.
    let assign: (inout Root, _ texts: [String], _ name: String) throws(ConfigurationError) -> Void
    /// Takes a node of a file that is neither a scalar nor a list of scalars; nil where there is no such.
    var readNodes: ((inout Root, [ConfigurationNode], _ name: String) throws(ConfigurationError) -> Void)?
    let content: KeyContent<Root>

    /// The flag: the path with "-" for "_".
    public var flag: String { "--" + String(path.map { $0 == "_" ? "-" : $0 }) }

    /// Needs no value on the command line.
    public var isBoolean: Bool { isValue && placeholder.isEmpty }
}

extension ConfigurationKey {
    /// A key of a value, with its place in the configuration.
    init<Value>(_ name: String, _ place: WritableKeyPath<Root, Value>, _ type: ValueType<Value>, _ help: String) {
        path = name
        self.help = help
        placeholder = type.placeholder
        isList = type.isList
        isValue = true
        takesNothing = type.takesNothing
        written = { type.write($0[keyPath: place]) }
        content = KeyContent(place, type)
        assign = { (root: inout Root, texts: [String], name: String) throws(ConfigurationError) in
            guard let value = type.read(texts) else {
                let shown = texts.joined(separator: ",")
                if type.isSecret, !shown.isEmpty { throw ConfigurationError("\(name): expected \(type.expected)") }
                throw .expected(type.expected, at: name, got: shown)
            }
            root[keyPath: place] = value
        }
    }

    /// A list of mappings, each read by the keys of `Element`, from `empty` on.
    init<Element: Equatable>(
        _ name: String, _ place: WritableKeyPath<Root, [Element]>, of keys: [ConfigurationKey<Element>], empty: Element, _ help: String
    ) {
        path = name
        self.help = help
        placeholder = "LIST"
        isList = true
        isValue = false
        takesNothing = true
        written = { _ in "" }
        content = KeyContent(place, of: keys, empty: empty)
        assign = { (_: inout Root, _: [String], name: String) throws(ConfigurationError) in
            throw ConfigurationError("\(name): expected a list of mappings")
        }
        readNodes = { (root: inout Root, nodes: [ConfigurationNode], name: String) throws(ConfigurationError) in
            var elements: [Element] = []
            for (index, node) in nodes.enumerated() {
                var element = empty
                try FileReader(keys, under: "\(name)[\(index)]").read(node, into: &element)
                elements.append(element)
            }
            root[keyPath: place] = elements
        }
    }

    /// The same key as part of something larger, below `name`.
    func under<Outer>(_ name: String, _ place: WritableKeyPath<Outer, Root>) -> ConfigurationKey<Outer> {
        let assign = assign
        let readNodes = readNodes
        let written = written
        var key = ConfigurationKey<Outer>(
            path: name.isEmpty ? path : "\(name).\(path)", help: help, support: support, isLive: isLive,
            placeholder: placeholder, isList: isList, isValue: isValue, takesNothing: takesNothing,
            written: { written($0[keyPath: place]) },
            assign: { (outer: inout Outer, texts: [String], name: String) throws(ConfigurationError) in
                try assign(&outer[keyPath: place], texts, name)
            },
            content: content.under(place)
        )
        if let readNodes {
            key.readNodes = { (outer: inout Outer, nodes: [ConfigurationNode], name: String) throws(ConfigurationError) in
                try readNodes(&outer[keyPath: place], nodes, name)
            }
        }
        return key
    }

    /// - Parameter help: says why; nil: what it has says so.
    func with(_ support: KeySupport, _ help: String? = nil) -> Self {
        var key = self
        key.support = support
        if let help { key.help = help }
        return key
    }

    /// A change of it takes effect without a restart.
    func live() -> Self {
        var key = self
        key.isLive = true
        return key
    }
}

extension Array {
    /// These keys as part of something larger, below `name`; at its top when `name` is empty.
    public func under<Inner, Outer>(
        _ name: String, _ place: WritableKeyPath<Outer, Inner>
    ) -> [ConfigurationKey<Outer>] where Element == ConfigurationKey<Inner> {
        map { $0.under(name, place) }
    }

    /// A change of any of these takes effect without a restart.
    func live<Root>() -> Self where Element == ConfigurationKey<Root> { map { $0.live() } }

}
