// SPDX-License-Identifier: MIT
// How many bytes the values of gossip take, without writing them: a packet is chosen by it, entry by entry. Pure; any thread.
// Must agree with GossipMessage's writing to the byte; a test says so.

enum GossipSize {
    /// Type and version.
    static let prefix = 2

    static func string(_ text: String) -> Int {
        let count = text.utf8.count
        return count + (count < 32 ? 1 : count < 0x1_0000 ? 3 : 5)
    }

    static func unsigned(_ value: UInt64) -> Int {
        switch value {
        case 0..<0x80: 1
        case 0..<0x100: 2
        case 0..<0x1_0000: 3
        case 0..<0x1_0000_0000: 5
        default: 9
        }
    }

    /// The map {node_id, addr, request}.
    static func digestHeader(_ peer: GossipPeer) -> Int { 1 + 8 + string(peer.id) + 5 + string(peer.address) + 8 + 1 }

    /// The map {node_id, addr, entries}.
    static func deltaHeader(_ peer: GossipPeer, entries: Int) -> Int {
        1 + 8 + string(peer.id) + 5 + string(peer.address) + 8 + unsigned(UInt64(entries))
    }

    /// The map {id, addr, version, left}.
    static func digestEntry(_ entry: DigestEntry) -> Int {
        1 + 3 + string(entry.peer.id) + 5 + string(entry.peer.address) + 8 + unsigned(entry.version) + 5 + 1
    }

    /// The map {key, value, version, internal, deleted}.
    static func entry(_ entry: GossipEntry) -> Int {
        1 + 4 + string(entry.key) + 6 + string(entry.value) + 8 + unsigned(entry.version) + 9 + 1 + 8 + 1
    }

    /// A digest or delta as a packet.
    static func packet(_ message: GossipMessage) -> Int {
        switch message {
        case .digest(let peer, _, let entries):
            entries.reduce(prefix + digestHeader(peer)) { $0 + digestEntry($1) }
        case .delta(let peer, let nodes):
            nodes.reduce(prefix + deltaHeader(peer, entries: 0)) { $0 + node($1) }
        case .join, .leave:
            message.bytes.count
        }
    }

    private static func node(_ node: NodeDelta) -> Int {
        guard !node.entries.isEmpty else { return 0 }
        return node.entries.reduce(deltaHeader(node.peer, entries: node.entries.count)) { $0 + entry($1) }
    }
}
