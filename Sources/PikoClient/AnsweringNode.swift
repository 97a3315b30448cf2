// SPDX-License-Identifier: MIT
// What a server node says of itself and its cluster when it answers a dial: `x-piko-node` and `x-piko-nodes`, which an original node does not send.
// A value, read from a peer's bytes; nothing in it is trusted further than to choose the next dial.

/// The node that answered a dial.
public struct AnsweringNode: Equatable, Sendable {
    /// nil: it does not name itself.
    public var id: String?
    /// The nodes of its cluster, itself included; 1 where it does not say.
    public var nodes = 1

    private static let longestID = 256
    private static let mostNodes = 100_000

    public init(id: String? = nil, nodes: Int = 1) {
        self.id = id
        self.nodes = nodes
    }

    /// From the fields' values. A name that could not be sent back in a list counts as none.
    init(name: UnsafeRawBufferPointer?, nodes count: UnsafeRawBufferPointer?) {
        if let name, !name.isEmpty, name.count <= Self.longestID, name.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x2C }) {
            id = String(decoding: name, as: UTF8.self)
        }
        let text = count.map { String(decoding: $0.prefix(8), as: UTF8.self) } ?? ""
        nodes = min(max(Int(text) ?? 1, 1), Self.mostNodes)
    }
}
