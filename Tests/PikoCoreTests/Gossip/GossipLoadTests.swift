// SPDX-License-Identifier: MIT
// A node with many endpoints that change all the time: how soon all know, and what it costs. Virtual time, seeded; no sockets.
// A debug build runs a tenth: 12 nodes, 500 endpoints, 100 changes a second. GOSSIP figures are printed by the optimised build.

import Testing

@testable import PikoCore

#if DEBUG
    private let nodeCount = 12
    private let endpointCount = 500
    private let changeEvery: UInt64 = 10
#else
    private let nodeCount = 50
    private let endpointCount = 10_000
    private let changeEvery: UInt64 = 1
#endif

@Suite struct GossipLoadTests {
    private func bytesOut(_ cluster: SimulatedCluster) -> [UInt64] { cluster.nodes.map { $0.gossip?.counters.packetBytesOutbound ?? 0 } }

    /// One change: an endpoint has another count; each fourth change of one deletes it.
    private func change(_ cluster: inout SimulatedCluster) {
        let endpoint = "service-\(cluster.random.next() % UInt64(endpointCount))"
        cluster.set(0, endpoint, ((cluster.nodes[0].truth[endpoint] ?? 0) + 1) % 4)
    }

    /// Runs for so long; each 500 ms one endpoint is new. Returns how long each took to be known by all.
    private func latencies(_ cluster: inout SimulatedCluster, for duration: UInt64) -> [UInt64] {
        var born: [String: UInt64] = [:]
        var latencies: [UInt64] = []
        let start = cluster.now
        while cluster.now < start + duration || (!born.isEmpty && cluster.now < start + duration + 5_000) {
            if cluster.now < start + duration {
                if (cluster.now - start) % 500 == 0 {
                    born["marker-\(cluster.now)"] = cluster.now
                    cluster.set(0, "marker-\(cluster.now)", 1)
                } else if cluster.now % changeEvery == 0 {
                    change(&cluster)
                }
            }
            cluster.run(1)
            guard cluster.now % 10 == 0 else { continue }
            for (marker, time) in born where cluster.nodes.allSatisfy({ $0.view.node("node-0")?.endpoints[marker] == 1 }) {
                latencies.append(cluster.now - time)
                born[marker] = nil
            }
        }
        return latencies + born.map { _ in UInt64.max }
    }

    @Test("gossip: with many endpoints and steady changes each is known by all within 3 s, in bounded bandwidth")
    func load() {
        var cluster = SimulatedCluster(nodeCount, seed: 3, network: SimulatedCluster.Network(loss: 0.01, delay: 1...3), endpoints: 1)
        for index in 0..<endpointCount { cluster.nodes[0].truth["service-\(index)"] = 1 }
        cluster.startAll()
        #expect(cluster.run(until: 20_000, SimulatedCluster.isConverged) != nil)
        let before = bytesOut(cluster)
        let start = cluster.now
        let latencies = latencies(&cluster, for: 4_000)
        let rates = zip(bytesOut(cluster), before).map { ($0 - $1) * 1000 / (cluster.now - start) }
        #expect(latencies.count == 8)
        #expect(latencies.allSatisfy { $0 <= 3_000 }, "\(latencies)")
        #expect(cluster.largestPacket <= 1400)
        #expect(rates.allSatisfy { $0 <= 2_000_000 }, "bytes a second: \(rates.max() ?? 0)")
        #expect(cluster.run(until: 3_000, SimulatedCluster.isConverged) != nil, "counts are the owner's when it rests")
        #if !DEBUG
            print("GOSSIP known by all after \(latencies) ms; bytes a second out: most \(rates.max() ?? 0), mean \(rates.reduce(0, +) / UInt64(nodeCount)), owner \(rates[0])")
        #endif
    }

    @Test("gossip: an idle cluster of ten costs a node at most 50 KB a second")
    func idle() {
        var cluster = SimulatedCluster(10, seed: 4)
        cluster.startAll()
        #expect(cluster.run(until: 10_000, SimulatedCluster.isConverged) != nil)
        let before = bytesOut(cluster)
        cluster.run(5_000)
        let rates = zip(bytesOut(cluster), before).map { ($0 - $1) / 5 }
        #expect(rates.allSatisfy { $0 < 50_000 }, "\(rates)")
    }
}
