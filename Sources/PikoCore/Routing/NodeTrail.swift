// SPDX-License-Identifier: MIT
// The nodes that a request has come through, as each that forwards it writes them into `x-piko-node`. It ends circles where nodes are wrong about
// who has an endpoint and cannot know each other by their addresses (behind NAT), so that x-piko-forward does not count. Pure; any thread.

/// The list in `x-piko-node`.
public enum NodeTrail {
    /// Bytes; a longer list is as good as a circle.
    static let longest = 512

    /// Whether a request that came by these nodes may not leave node `id` again.
    public static func ends(_ list: UnsafeRawBufferPointer, at id: String) -> Bool {
        if list.count > longest { return true }
        var nodes = TokenList(list)
        while let node = nodes.next() {
            if node.elementsEqual(id.utf8) { return true }
        }
        return false
    }
}
