// SPDX-License-Identifier: MIT
// `x-piko-loops`: on which event loops of a node the tunnels of an endpoint live, a number for each tunnel. A node says so to a node that
// forwarded a request to it, so that the next one arrives where the tunnel is. Pure; any thread.

/// The list in `x-piko-loops`: `0, 1, 1`.
public enum LoopList {
    /// Tunnels that are named; the others serve requests all the same.
    public static let longest = 32

    /// The loops that a list names, in its order. nil: it is none, or too long.
    public static func read(_ list: UnsafeRawBufferPointer) -> [UInt8]? {
        var loops: [UInt8] = []
        var items = TokenList(list)
        while let item = items.next() {
            guard loops.count < longest, let loop = UInt8(String(decoding: item, as: UTF8.self)) else { return nil }
            loops.append(loop)
        }
        return loops.isEmpty ? nil : loops
    }

    /// Appends the whole line; nothing where there is no loop to name.
    static func append(_ loops: [Int], to writer: HeadWriter) {
        guard !loops.isEmpty else { return }
        writer.append("x-piko-loops: ")
        for (index, loop) in loops.prefix(longest).enumerated() {
            if index > 0 { writer.append(", ") }
            writer.append(number: UInt64(loop))
        }
        writer.endLine()
    }
}
