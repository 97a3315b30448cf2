// SPDX-License-Identifier: MIT
// Whole clusters of Gossip in virtual time: joining, faults, restarts, splits. Seeded; no sockets.
// A debug build runs smaller clusters than an optimised one: 40 nodes instead of 200, minutes instead of more minutes.

import Testing

@testable import PikoCore

#if DEBUG
    private let sizes = [3, 10, 40]
    private let isDebug = true
#else
    private let sizes = [3, 10, 50, 200]
    private let isDebug = false
#endif

@Suite struct GossipClusterTests {
    private static let rough = SimulatedCluster.Network(loss: 0.1, repeats: 0.05, delay: 1...80)

    private func converged(_ count: Int, seed: UInt64, _ network: SimulatedCluster.Network = SimulatedCluster.Network()) -> SimulatedCluster {
        var cluster = SimulatedCluster(count, seed: seed, network: network)
        cluster.startAll()
        #expect(cluster.run(until: 20_000, SimulatedCluster.isConverged) != nil, "a cluster of \(count) forms")
        return cluster
    }

    @Test("gossip: nodes that start at once on a lossy network are one cluster within 10 s", arguments: sizes)
    func forms(count: Int) {
        var cluster = SimulatedCluster(count, seed: UInt64(count), network: Self.rough)
        cluster.startAll()
        let time = cluster.run(until: 10_000, SimulatedCluster.isConverged)
        #expect(time != nil)
        #expect(cluster.largestPacket <= 1400)
        print("gossip: \(count) nodes form in \(time ?? 0) ms, largest packet \(cluster.largestPacket)")
    }
}
