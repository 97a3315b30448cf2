// SPDX-License-Identifier: MIT
// Whole clusters of Gossip in virtual time: joining, deaths, restarts, splits. Seeded; no sockets.
// A debug build runs smaller clusters than an optimised one: 30 nodes instead of 200, fewer seeds.

import Testing

@testable import PikoCore

#if DEBUG
    private let sizes = [3, 10, 30]
    private let faultSeeds: [UInt64] = [1, 9, 12]
#else
    private let sizes = [3, 10, 50, 200]
    private let faultSeeds = Array(UInt64(1)...20)
#endif

/// What observers were told of one node after they had declared it dead.
private final class Ghosts {
    var declared: Set<Int> = []
    var seen: [String] = []

    func note(_ observer: Int, _ now: UInt64, _ change: ClusterChange, of id: String) {
        switch change {
        case .status(id, .unreachable), .status(id, .left): declared.insert(observer)
        case .status(id, .active), .added(id):
            if declared.contains(observer) { seen.append("\(now) ms: node \(observer): \(change)") }
        default: break
        }
    }
}

@Suite struct GossipClusterTests {
    private static let rough = SimulatedCluster.Network(loss: 0.1, repeats: 0.05, delay: 1...80)

    private func formed(_ count: Int, seed: UInt64, _ network: SimulatedCluster.Network = SimulatedCluster.Network()) -> SimulatedCluster {
        var cluster = SimulatedCluster(count, seed: seed, network: network)
        cluster.startAll()
        #expect(cluster.run(until: 10_000, SimulatedCluster.isConverged) != nil, "a cluster of \(count) forms")
        cluster.run(1_000)
        return cluster
    }

    private func sees(_ observer: Int, _ cluster: SimulatedCluster, _ id: Int) -> NodeStatus? {
        cluster.nodes[observer].view.node(cluster.nodes[id].id)?.status
    }

    @Test("gossip: nodes that start at once on a lossy network are one cluster within 8 s", arguments: sizes)
    func forms(count: Int) {
        var cluster = SimulatedCluster(count, seed: UInt64(count), network: Self.rough)
        cluster.startAll()
        let time = cluster.run(until: 8_000, SimulatedCluster.isConverged)
        #expect(time != nil)
        #expect(cluster.largestPacket <= 1400)
    }

    @Test("gossip: a change is known on all of ten nodes within 2 s, as bytes on a lossy network")
    func spreads() {
        var network = Self.rough
        network.asBytes = true
        var cluster = formed(10, seed: 7, network)
        for turn in 0..<5 {
            cluster.set(turn, "new", turn + 1)
            cluster.set((turn + 5) % 10, "e0-\((turn + 5) % 7)", 0)
            #expect(cluster.run(until: 2_000, SimulatedCluster.isConverged) != nil)
        }
        #expect(cluster.nodes.allSatisfy { $0.gossip?.counters.malformed == 0 })
    }

    @Test("gossip: a dead node is unreachable within 5 s, forgotten after 60 s, and never active again by hearsay")
    func death() {
        var cluster = formed(5, seed: 11, Self.rough)
        let ghosts = Ghosts()
        cluster.onChange = { ghosts.note($0, $1, $2, of: "node-1") }
        cluster.kill(1)
        cluster.kill(4)
        #expect(cluster.run(until: 5_000) { now in [0, 2, 3].allSatisfy { sees($0, now, 1) == .unreachable } } != nil)
        cluster.run(50_000)
        cluster.start(4)
        cluster.run(70_000)
        #expect([0, 2, 3].allSatisfy { sees($0, cluster, 1) == nil })
        cluster.run(20_000)
        #expect(ghosts.seen == [])
        #expect(sees(4, cluster, 1) == nil)
        #expect(SimulatedCluster.isConverged(cluster))
    }

    @Test("gossip: a node that never stops speaking of a dead one, as the original does, revives it nowhere")
    func persistentHearsay() {
        var cluster = formed(3, seed: 12)
        let ghosts = Ghosts()
        cluster.onChange = { ghosts.note($0, $1, $2, of: "node-2") }
        let dead = GossipPeer(id: "node-2", address: cluster.nodes[2].address)
        cluster.kill(2)
        let entries = [
            GossipEntry(key: "proxy_addr", value: "p", version: 1 << 60), GossipEntry(key: "admin_addr", value: "a", version: 1 << 60 + 1),
        ]
        let teller = GossipPeer(id: "original", address: "10.9.9.9:8003")
        for _ in 0..<150 {
            cluster.run(1_000)
            let digest = [DigestEntry(peer: dead, version: 1 << 60 + 1, left: false)]
            cluster.hand(0, .message(.digest(from: teller, isRequest: true, digest), from: teller.address))
            cluster.hand(0, .message(.delta(from: teller, [NodeDelta(peer: dead, entries: entries)]), from: teller.address))
        }
        #expect(ghosts.declared == [0, 1])
        #expect(ghosts.seen == [])
        #expect(sees(0, cluster, 2) == nil)
    }

    @Test("gossip: a split of any length heals within 5 s, though both halves have forgotten each other", arguments: [10_000, 150_000] as [UInt64])
    func split(length: UInt64) {
        var cluster = formed(5, seed: length, Self.rough)
        for index in 3..<5 { cluster.nodes[index].group = 1 }
        cluster.run(length)
        #expect(sees(0, cluster, 4) == (length > 70_000 ? nil : .unreachable))
        cluster.set(0, "while-split", 2)
        cluster.set(4, "while-split", 3)
        for index in 3..<5 { cluster.nodes[index].group = 0 }
        #expect(cluster.run(until: 5_000, SimulatedCluster.isConverged) != nil)
    }

    @Test("gossip: two nodes cut off from each other alone find each other again through hearsay of a third, without seeds")
    func cutLink() {
        var cluster = formed(3, seed: 5)
        for index in 0..<3 { cluster.nodes[index].seeds = [cluster.nodes[2].address] }
        cluster.run(40_000)
        cluster.cuts = [[0, 1]]
        cluster.run(100_000)
        #expect(sees(0, cluster, 1) == nil && sees(1, cluster, 0) == nil)
        #expect(sees(2, cluster, 1) == .active && sees(0, cluster, 2) == .active)
        cluster.cuts = []
        #expect(cluster.run(until: 5_000, SimulatedCluster.isConverged) != nil)
    }

    @Test("gossip: a node restarted at once under its id wins over its past within 3 s", arguments: [true, false])
    func restart(hasClock: Bool) {
        var cluster = SimulatedCluster(4, seed: 21, network: Self.rough)
        cluster.startAll(hasClock: hasClock)
        #expect(cluster.run(until: 10_000, SimulatedCluster.isConverged) != nil)
        for life in 1...5 {
            for turn in 0..<20 { cluster.set(2, "past-\(turn)", turn % 3) }
            cluster.run(2_000)
            cluster.kill(2)
            cluster.nodes[2].truth = ["life-\(life)": life]
            cluster.run(20)
            cluster.start(2, hasClock: hasClock, address: "10.1.\(life % 2).2:8003")
            #expect(cluster.run(until: 3_000, SimulatedCluster.isConverged) != nil, "life \(life)")
        }
    }

    @Test("gossip: a node that leaves is known to have left within 1 s, is forgotten, and comes back when it starts again")
    func leaving() {
        var cluster = formed(5, seed: 31, Self.rough)
        let ghosts = Ghosts()
        cluster.onChange = { ghosts.note($0, $1, $2, of: "node-3") }
        cluster.leave(3)
        #expect(cluster.run(until: 1_000) { now in [0, 1, 2, 4].allSatisfy { sees($0, now, 3) == .left } } != nil)
        cluster.kill(3)
        cluster.run(70_000)
        #expect([0, 1, 2, 4].allSatisfy { sees($0, cluster, 3) == nil })
        #expect(ghosts.seen == [])
        cluster.start(3)
        #expect(cluster.run(until: 3_000, SimulatedCluster.isConverged) != nil)
        cluster.leave(3)
        cluster.run(300)
        cluster.kill(3)
        cluster.start(3)
        #expect(cluster.run(until: 3_000, SimulatedCluster.isConverged) != nil, "a restart right after leaving")
    }

    @Test("gossip: a frozen node is unreachable within 3 s, and as itself again within 1 s of going on, blaming nobody")
    func freezing() {
        var cluster = formed(3, seed: 41)
        cluster.freeze(1)
        #expect(cluster.run(until: 3_000) { now in [0, 2].allSatisfy { sees($0, now, 1) == .unreachable } } != nil)
        cluster.run(27_000)
        let blames = Ghosts()
        cluster.onChange = { observer, now, change in
            if observer == 1 { for id in ["node-0", "node-2"] { blames.note(1, now, change, of: id) } }
        }
        cluster.thaw(1)
        #expect(cluster.run(until: 1_000, SimulatedCluster.isConverged) != nil)
        cluster.run(3_000)
        #expect(blames.declared == [])
        #expect(SimulatedCluster.isConverged(cluster))
    }

    @Test("gossip: after any sequence of changes, kills, restarts, freezes and splits all views are equal within 8 s", arguments: faultSeeds)
    func faults(seed: UInt64) {
        var cluster = formed(7, seed: seed, Self.rough)
        for _ in 0..<60 {
            fault(&cluster)
            cluster.run(200 + cluster.random.next() % 600)
        }
        for index in cluster.nodes.indices {
            cluster.nodes[index].group = 0
            if cluster.nodes[index].gossip == nil { cluster.start(index) } else if cluster.nodes[index].isFrozen { cluster.thaw(index) }
        }
        #expect(cluster.run(until: 8_000, SimulatedCluster.isConverged) != nil, "\(cluster.disagreements)")
        #expect(cluster.largestPacket <= 1400)
    }

    private func fault(_ cluster: inout SimulatedCluster) {
        let index = Int(cluster.random.next() % UInt64(cluster.nodes.count))
        let isAlive = cluster.nodes[index].gossip != nil
        switch cluster.random.next() % 8 {
        case 0 where isAlive: cluster.kill(index)
        case 1 where isAlive:
            cluster.kill(index)
            cluster.nodes[index].truth = ["fresh-\(cluster.now)": 1]
            cluster.start(index)
        case 2 where isAlive && !cluster.nodes[index].isFrozen: cluster.leave(index)
            cluster.kill(index)
        case 3 where isAlive && cluster.nodes[index].isFrozen: cluster.thaw(index)
        case 3 where isAlive: cluster.freeze(index)
        case 4: cluster.nodes[index].group = 1 - cluster.nodes[index].group
        case _ where !isAlive: cluster.start(index)
        default:
            guard !cluster.nodes[index].isFrozen else { return }
            for turn in 0..<20 { cluster.set(index, "x\(turn % 9)", Int(cluster.random.next() % 3)) }
        }
    }
}
