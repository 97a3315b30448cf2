// SPDX-License-Identifier: MIT
// Why a node of ours tells an agent to move a tunnel: the code of its go away. A value; any thread.
// Any other code of a peer's is as good as `nodeLeaves`.

/// The code of a go away from a node. yamux itself knows 0 to 2.
public enum MoveReason: UInt32, Sendable {
    /// The node leaves: it takes no tunnel any more.
    case nodeLeaves = 0
    /// The node has more than its share of tunnels: without another node to go to, the agent may as well stay.
    case tooManyHere = 16
}
