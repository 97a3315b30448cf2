// SPDX-License-Identifier: MIT
// Puts gossip into a server node: binds its port, tells it what to say of this node, hands it the tunnels' counts, takes its readiness.
// Started by the main thread; all else on the control loop.

import PikoCore
import PikoEngine
import Synchronization

/// No node of `cluster.join` answered in time.
struct JoinFailure: Error, CustomStringConvertible {
    let description: String

    init(_ cluster: ClusterConfiguration) {
        let nodes = cluster.join.joined(separator: ", ")
        description = "cluster.join: no node answered within \(cluster.joinTimeout.configured): \(nodes)"
    }
}

extension ControlLoop {
    /// Binds the gossip port and begins to gossip. Main thread only.
    /// - Parameters:
    ///   - proxy: where the proxy port is bound.
    ///   - admin: where the admin port is bound.
    static func startGossip(
        on face: LoopBound<ControlLoop>, _ node: ServerNode, proxy: SocketAddress, admin: SocketAddress
    ) throws(BindFailure) {
        let place = node.configuration.cluster.gossip.bindAddr
        let key = "cluster.gossip.bind_addr"
        let addresses = try Binding.candidates(place, key: key, on: face.loop)
        let failure = face.sync { control -> EngineError? in
            do throws(EngineError) {
                try control.startGossip(at: addresses, isAny: place.host.isEmpty, proxy: proxy, admin: admin)
                return nil
            } catch {
                return error
            }
        }
        if let reason = failure ?? nil { throw BindFailure(key: key, address: place, reason: reason) }
    }

    private func startGossip(
        at addresses: [SocketAddress], isAny: Bool, proxy: SocketAddress, admin: SocketAddress
    ) throws(EngineError) {
        let port = try GossipPort(at: addresses, isAny: isAny, on: loop)
        let configuration = node.configuration
        let start = GossipStart(
            id: node.id,
            proxyAddress: AdvertisedAddress.of(configuration.proxy.advertiseAddr, bound: proxy),
            adminAddress: AdvertisedAddress.of(configuration.admin.advertiseAddr, bound: admin),
            gossipAddress: AdvertisedAddress.of(configuration.cluster.gossip.advertiseAddr, bound: port.address ?? addresses[0]),
            cluster: configuration.cluster)
        let shell = GossipShell(start, port: port, view: node.cluster, log: node.log.named("gossip"), on: loop)
        gossip = shell
        watchTunnels()
        shell.watch { [node] in node.clusterDidChange($0) }
        shell.run { [node] in
            node.hasCluster.store(true, ordering: .sequentiallyConsistent)
        } onFailure: { [node] in
            Self.joinFailed(node)
        }
    }

    private func watchTunnels() {
        let face = LoopBound<GossipShell>(on: loop)
        face.value = gossip
        node.registry.watch { [registry = node.registry] in
            face.post { $0.setListeners(registry.takeChanges()) }
        }
    }

    private static func joinFailed(_ node: ServerNode) {
        let failure = JoinFailure(node.configuration.cluster).description
        if node.configuration.cluster.abortIfJoinFails {
            node.log.error("server failed") { $0.add("error", failure) }
            node.turnstile.fail()
        } else {
            node.log.named("gossip").warn("no node joined, going on alone") { $0.add("error", failure) }
            node.hasCluster.store(true, ordering: .sequentiallyConsistent)
        }
    }

    /// Tells the cluster that this node leaves. `completion` runs once: when up to three nodes have heard it, after about a second at the latest.
    func leave(completion: @escaping () -> Void) {
        guard let gossip else { return completion() }
        gossip.leave(completion: completion)
    }
}
