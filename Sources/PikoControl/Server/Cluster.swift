// SPDX-License-Identifier: MIT
// The cluster as all loops of a node see it: who is there and which other node has an endpoint. Shared behind a lock that is held for one
// look-up or one change, never across I/O, a callback or a log line. Gossip alone changes it; it decides nothing by itself.

import PikoCore
import Synchronization

/// A node's view of its cluster. Any thread.
final class Cluster: Sendable {
    private let view: Mutex<ClusterView>
    let localID: String

    init(localID: String) {
        self.localID = localID
        view = Mutex(ClusterView(localID: localID))
    }

    /// Takes a change. The gossip shell only.
    func apply(_ change: ClusterChange) { view.withLock { $0.apply(change) } }

    /// Another node that has the endpoint, as likely as it has listeners; nil when there is none.
    func select(endpoint: String, excluding tried: [String]) -> ClusterNode? {
        var random = SystemRandomNumberGenerator()
        return view.withLock { $0.select(endpoint: endpoint, excluding: tried, using: &random) }
    }

    /// The nodes whose addresses are known, this one included, by id.
    var nodes: [ClusterNode] { view.withLock { $0.nodes } }

    /// A node whose addresses are known.
    func node(_ id: String) -> ClusterNode? { view.withLock { $0.node(id) } }
}
