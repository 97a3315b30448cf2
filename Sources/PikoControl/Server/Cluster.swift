// SPDX-License-Identifier: MIT
// The cluster as all loops of a node see it: who is there and which other node has an endpoint. Shared behind a lock that is held for one
// look-up or one change, never across I/O, a callback or a log line. Gossip alone changes it; it decides nothing by itself.

import PikoCore
import Synchronization

/// A node's view of its cluster. Any thread.
final class Cluster: Sendable {
    private let view: Mutex<ClusterView>
    private let changes = Atomic<UInt64>(0)
    let localID: String
    let lookups = PeerLookups()

    init(localID: String) {
        self.localID = localID
        view = Mutex(ClusterView(localID: localID))
    }

    /// Takes a change. The gossip shell only.
    func apply(_ change: ClusterChange) {
        view.withLock { $0.apply(change) }
        if case .endpoint = change { return }
        changes.add(1, ordering: .sequentiallyConsistent)
    }

    /// Another number whenever nodes or their addresses have changed; endpoints do not count.
    var generation: UInt64 { changes.load(ordering: .sequentiallyConsistent) }

    /// Another node that has the endpoint, as likely as it has listeners; nil when there is none. Parameters as in ClusterView.
    func select(
        endpoint: String, isHostName: Bool, excluding tried: [String], using random: inout some RandomNumberGenerator
    ) -> ClusterNode? {
        view.withLock { $0.select(endpoint: endpoint, isHostName: isHostName, excluding: tried, using: &random) }
    }

    /// Listeners of an endpoint on other nodes that can be forwarded to.
    func remoteListeners(_ endpoint: String, isHostName: Bool = false, excluding tried: [String] = []) -> Int {
        view.withLock { $0.remoteListeners(endpoint, isHostName: isHostName, excluding: tried) }
    }

    /// The nodes whose addresses are known, this one included, by id.
    var nodes: [ClusterNode] { view.withLock { $0.nodes } }

    /// A node whose addresses are known.
    func node(_ id: String) -> ClusterNode? { view.withLock { $0.node(id) } }
}
