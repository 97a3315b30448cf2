// SPDX-License-Identifier: MIT
// The messages of gossip and their bytes (protocol.md, "Gossip"): what nodes say of themselves and each other. Pure; any thread.
// Reading is safe on arbitrary bytes. What a message means to a node is decided in Gossip.

/// A node's name and the address it gossips at, "host:port".
public struct GossipPeer: Hashable, Sendable {
    public var id: String
    public var address: String

    public init(id: String, address: String) {
        self.id = id
        self.address = address
    }
}

/// How far somebody knows a node.
public struct DigestEntry: Equatable, Sendable {
    public var peer: GossipPeer
    /// Of the last entry known.
    public var version: UInt64
    public var left: Bool

    public init(peer: GossipPeer, version: UInt64, left: Bool) {
        self.peer = peer
        self.version = version
        self.left = left
    }
}

/// One key of a node.
public struct GossipEntry: Equatable, Sendable {
    public var key: String
    public var value: String
    public var version: UInt64
    public var isInternal: Bool
    public var isDeleted: Bool

    public init(key: String, value: String, version: UInt64, isInternal: Bool = false, isDeleted: Bool = false) {
        self.key = key
        self.value = value
        self.version = version
        self.isInternal = isInternal
        self.isDeleted = isDeleted
    }
}

/// Entries of one node, in version order.
public struct NodeDelta: Equatable, Sendable {
    public var peer: GossipPeer
    public var entries: [GossipEntry]

    public init(peer: GossipPeer, entries: [GossipEntry]) {
        self.peer = peer
        self.entries = entries
    }
}

/// A whole message.
public enum GossipMessage: Equatable, Sendable {
    case digest(from: GossipPeer, isRequest: Bool, [DigestEntry])
    case delta(from: GossipPeer, [NodeDelta])
    case join(from: GossipPeer, [NodeDelta], [DigestEntry])
    case leave(from: GossipPeer, [NodeDelta])
}

/// The answer to a join or leave, which has no type byte. A leave's has no nodes.
public struct GossipReply: Equatable, Sendable {
    public var from: GossipPeer
    public var nodes: [NodeDelta]

    public init(from: GossipPeer, nodes: [NodeDelta]) {
        self.from = from
        self.nodes = nodes
    }
}

// MARK: Writing

extension GossipMessage {
    enum Kind: UInt8 { case digest = 1, delta, join, leave }

    /// A digest of at most `limit` bytes: entries that do not fit are left out, so shuffle them before.
    public static func digestPacket(
        from peer: GossipPeer, isRequest: Bool, _ entries: [DigestEntry], limit: Int
    ) -> [UInt8] {
        var writer = MessagePackWriter(kind: Kind.digest.rawValue)
        writer.beginMap(3)
        writer.append(peer, idKey: "node_id")
        writer.append("request")
        writer.append(isRequest)
        for entry in entries {
            var next = MessagePackWriter()
            next.append(entry)
            if writer.bytes.count + next.bytes.count <= limit { writer.append(next) }
        }
        return writer.bytes
    }

    /// A delta of at most `limit` bytes: of each node the first entries that fit.
    public static func deltaPacket(from peer: GossipPeer, _ nodes: [NodeDelta], limit: Int) -> [UInt8] {
        var writer = MessagePackWriter(kind: Kind.delta.rawValue)
        writer.appendDeltaHeader(peer, entries: 0)
        for node in nodes where !node.entries.isEmpty {
            guard let part = MessagePackWriter.part(of: node, room: limit - writer.bytes.count) else { break }
            writer.append(part)
        }
        return writer.bytes
    }

    /// The message whole, without a limit: for TCP.
    public var bytes: [UInt8] {
        switch self {
        case .digest(let peer, let isRequest, let entries):
            return Self.digestPacket(from: peer, isRequest: isRequest, entries, limit: .max)
        case .delta(let peer, let nodes):
            return Self.deltaPacket(from: peer, nodes, limit: .max)
        case .join(let peer, let nodes, let digest):
            var writer = MessagePackWriter(kind: Kind.join.rawValue)
            writer.appendHeader(peer)
            writer.append(nodes)
            writer.append(digest)
            return writer.bytes
        case .leave(let peer, let nodes):
            var writer = MessagePackWriter(kind: Kind.leave.rawValue)
            writer.appendHeader(peer)
            writer.append(nodes)
            return writer.bytes
        }
    }
}

extension GossipReply {
    /// - Parameter toJoin: a join's answer has a list of nodes, a leave's none.
    public func bytes(toJoin: Bool) -> [UInt8] {
        var writer = MessagePackWriter()
        writer.appendHeader(from)
        if toJoin { writer.append(nodes) }
        return writer.bytes
    }
}

extension MessagePackWriter {
    fileprivate init(kind: UInt8) {
        self.init()
        append(byte: kind)
        append(byte: 0)
    }

    fileprivate mutating func append(_ part: MessagePackWriter) {
        for byte in part.bytes { append(byte: byte) }
    }

    fileprivate mutating func append(_ peer: GossipPeer, idKey: String) {
        append(idKey)
        append(peer.id)
        append("addr")
        append(peer.address)
    }

    fileprivate mutating func appendHeader(_ peer: GossipPeer) {
        beginMap(2)
        append(peer, idKey: "node_id")
    }

    fileprivate mutating func appendDeltaHeader(_ peer: GossipPeer, entries: Int) {
        beginMap(3)
        append(peer, idKey: "node_id")
        append("entries")
        append(UInt64(entries))
    }

    fileprivate mutating func append(_ entry: DigestEntry) {
        beginMap(4)
        append(entry.peer, idKey: "id")
        append("version")
        append(entry.version)
        append("left")
        append(entry.left)
    }

    fileprivate mutating func append(_ entry: GossipEntry) {
        beginMap(5)
        append("key")
        append(entry.key)
        append("value")
        append(entry.value)
        append("version")
        append(entry.version)
        append("internal")
        append(entry.isInternal)
        append("deleted")
        append(entry.isDeleted)
    }

    fileprivate mutating func append(_ nodes: [NodeDelta]) {
        guard !nodes.isEmpty else { return appendNil() }
        beginList(nodes.count)
        for node in nodes {
            beginMap(3)
            append(node.peer, idKey: "id")
            append("entries")
            if node.entries.isEmpty { appendNil() } else { beginList(node.entries.count) }
            for entry in node.entries { append(entry) }
        }
    }

    fileprivate mutating func append(_ digest: [DigestEntry]) {
        guard !digest.isEmpty else { return appendNil() }
        beginList(digest.count)
        for entry in digest { append(entry) }
    }

    /// A node's header and as many of its first entries as the room takes; nil when not even one.
    fileprivate static func part(of node: NodeDelta, room: Int) -> MessagePackWriter? {
        var entries = MessagePackWriter()
        var count = 0
        for entry in node.entries {
            var next = MessagePackWriter()
            next.append(entry)
            guard entries.bytes.count + next.bytes.count + headerSize(node.peer, count + 1) <= room else { break }
            entries.append(next)
            count += 1
        }
        guard count > 0 else { return nil }
        var part = MessagePackWriter()
        part.appendDeltaHeader(node.peer, entries: count)
        part.append(entries)
        return part
    }

    private static func headerSize(_ peer: GossipPeer, _ entries: Int) -> Int {
        var header = MessagePackWriter()
        header.appendDeltaHeader(peer, entries: entries)
        return header.bytes.count
    }
}

// MARK: Reading

/// Why a message is refused; a peer's mistake, for a counter.
public enum GossipFault: Error, Equatable, Sendable {
    case unknownKind(UInt8)
    case unknownVersion(UInt8)
    case malformed
    /// Whole so far: on a connection, more may come.
    case incomplete
}

extension GossipMessage {
    /// Reads a whole message. Unknown fields are passed over; what follows the values it knows is ignored.
    public static func read(_ bytes: ArraySlice<UInt8>) throws(GossipFault) -> GossipMessage {
        var reader = MessagePackReader(bytes)
        do {
            let kind = try reader.byte()
            let version = try reader.byte()
            guard version == 0 else { throw GossipFault.unknownVersion(version) }
            switch Kind(rawValue: kind) {
            case .digest: return try reader.digestMessage()
            case .delta: return try reader.deltaMessage()
            case .join: return .join(from: try reader.header().peer, try reader.nodes(), try reader.digest())
            case .leave: return .leave(from: try reader.header().peer, try reader.nodes())
            case nil: throw GossipFault.unknownKind(kind)
            }
        } catch let fault as GossipFault {
            throw fault
        } catch {
            throw GossipFault(error)
        }
    }
}

extension GossipReply {
    /// Reads the answer to a join or leave.
    public static func read(_ bytes: ArraySlice<UInt8>, toJoin: Bool) throws(GossipFault) -> GossipReply {
        var reader = MessagePackReader(bytes)
        do {
            let peer = try reader.header().peer
            return GossipReply(from: peer, nodes: toJoin ? try reader.nodes() : [])
        } catch {
            throw GossipFault(error)
        }
    }
}

extension GossipFault {
    fileprivate init(_ error: any Error) {
        if case MessagePackError.truncated = error { self = .incomplete } else { self = .malformed }
    }
}

extension MessagePackReader {
    fileprivate struct Header {
        var peer = GossipPeer(id: "", address: "")
        var isRequest = false
        var entries: UInt64 = 0
        var version: UInt64 = 0
        var left = false
    }

    /// Any of the headers and digest entries: they differ in which fields they have.
    fileprivate mutating func header() throws(MessagePackError) -> Header {
        var header = Header()
        for _ in 0..<(try map()) {
            switch try string() {
            case "node_id", "id": header.peer.id = try string()
            case "addr": header.peer.address = try string()
            case "request": header.isRequest = try bool()
            case "entries": header.entries = try unsigned()
            case "version": header.version = try unsigned()
            case "left": header.left = try bool()
            default: try skip()
            }
        }
        return header
    }

    fileprivate mutating func digestEntry() throws(MessagePackError) -> DigestEntry {
        let header = try header()
        try admit(header.peer)
        return DigestEntry(peer: header.peer, version: header.version, left: header.left)
    }

    fileprivate mutating func digestMessage() throws(MessagePackError) -> GossipMessage {
        let header = try header()
        var entries: [DigestEntry] = []
        while !isAtEnd { entries.append(try digestEntry()) }
        return .digest(from: header.peer, isRequest: header.isRequest, entries)
    }

    fileprivate mutating func deltaMessage() throws(MessagePackError) -> GossipMessage {
        let sender = try header()
        var nodes: [NodeDelta] = []
        while !isAtEnd {
            let node = try header()
            try admit(node.peer)
            nodes.append(NodeDelta(peer: node.peer, entries: try entries(upTo: node.entries)))
        }
        return .delta(from: sender.peer, nodes)
    }

    /// The original announces all entries that it has and ends a full packet after the last that fits.
    private mutating func entries(upTo count: UInt64) throws(MessagePackError) -> [GossipEntry] {
        var entries: [GossipEntry] = []
        while entries.count < count, !isAtEnd { entries.append(try entry()) }
        return entries
    }

    fileprivate mutating func entries(_ count: Int) throws(MessagePackError) -> [GossipEntry] {
        var entries: [GossipEntry] = []
        for _ in 0..<count { entries.append(try entry()) }
        return entries
    }

    private mutating func entry() throws(MessagePackError) -> GossipEntry {
        var entry = GossipEntry(key: "", value: "", version: 0)
        for _ in 0..<(try map()) {
            switch try string() {
            case "key": entry.key = try string()
            case "value": entry.value = try string()
            case "version": entry.version = try unsigned()
            case "internal": entry.isInternal = try bool()
            case "deleted": entry.isDeleted = try bool()
            default: try skip()
            }
        }
        // Versions begin at 1.
        guard !entry.key.isEmpty, entry.version > 0 else { throw .empty }
        return entry
    }

    /// Who has no name or no address is nobody's peer. A message of such would also be far larger in memory than it was as bytes.
    private func admit(_ peer: GossipPeer) throws(MessagePackError) {
        guard !peer.id.isEmpty, !peer.address.isEmpty else { throw .empty }
    }

    fileprivate mutating func nodes() throws(MessagePackError) -> [NodeDelta] {
        var nodes: [NodeDelta] = []
        for _ in 0..<(try list()) { nodes.append(try node()) }
        return nodes
    }

    private mutating func node() throws(MessagePackError) -> NodeDelta {
        var node = NodeDelta(peer: GossipPeer(id: "", address: ""), entries: [])
        for _ in 0..<(try map()) {
            switch try string() {
            case "id": node.peer.id = try string()
            case "addr": node.peer.address = try string()
            case "entries": node.entries = try entries(try list())
            default: try skip()
            }
        }
        try admit(node.peer)
        return node
    }

    fileprivate mutating func digest() throws(MessagePackError) -> [DigestEntry] {
        var digest: [DigestEntry] = []
        for _ in 0..<(try list()) { digest.append(try digestEntry()) }
        return digest
    }
}
