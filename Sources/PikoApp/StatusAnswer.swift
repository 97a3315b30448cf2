// SPDX-License-Identifier: MIT
// What an admin port answered, made into what the original's status commands print: the same YAML, so that scripts go on working.
// Pure. JSON is YAML; fields keep the order in which the node wrote them.

import Yams

enum StatusAnswer {
    static func read(_ json: String) throws -> Node {
        guard let node = try? Yams.compose(yaml: json) else { throw unexpected }
        return node
    }

    static var unexpected: CommandExit { .failure("--server.url: expected JSON from the admin port") }
}

extension Node {
    /// A list of nodes by id, under `nodes`; only those of a status unless that is empty.
    func nodes(ofStatus status: String) throws -> Node {
        guard let list = isNull ? [] : sequence.map(Array.init) else { throw StatusAnswer.unexpected }
        let wanted = status.isEmpty ? list : list.filter { $0["status"]?.string == status }
        let sorted = wanted.sorted { ($0["id"]?.string ?? "") < ($1["id"]?.string ?? "") }
        return .mapping(Mapping([("nodes", .sequence(Sequence(sorted)))]))
    }

    /// A node without endpoints has none, where the original's JSON says null.
    var clusterNode: Node {
        var node = self
        if node["endpoints"]?.isNull == true { node["endpoints"] = .mapping(Mapping([])) }
        return node
    }

    /// A node's facts under `nodemetadata`, its keys under `entries`.
    func gossipNode() throws -> Node {
        guard let fields = mapping else { throw StatusAnswer.unexpected }
        let facts = fields.filter { $0.key.string != "Entries" }.map { ($0.key, $0.value) }
        let entries = fields["Entries"].flatMap { $0.isNull ? nil : $0 } ?? .sequence(Sequence([]))
        return .mapping(Mapping([("nodemetadata", .mapping(Mapping(facts))), ("entries", entries)]))
    }

    private var isNull: Bool { scalar?.style != .doubleQuoted && null != nil }

    /// Without the flow style and the quotes that JSON has; texts that would read as something else keep theirs, but for times.
    var asBlocks: Node {
        switch self {
        case .mapping(let mapping):
            let pairs = mapping.map { ($0.key.asBlocks, $0.value.asBlocks) }
            return .mapping(Mapping(pairs, .implicit, mapping.isEmpty ? .flow : .block))
        case .sequence(let sequence):
            return .sequence(Sequence(sequence.map(\.asBlocks), .implicit, sequence.isEmpty ? .flow : .block))
        case .scalar(let scalar):
            let isText = scalar.style == .doubleQuoted
            let keepsQuotes = isText && ![Tag(.str), Tag(.timestamp)].contains(Node(scalar.string).tag)
            return .scalar(Scalar(scalar.string, .implicit, keepsQuotes ? .doubleQuoted : .any))
        case .alias:
            return self
        }
    }
}
