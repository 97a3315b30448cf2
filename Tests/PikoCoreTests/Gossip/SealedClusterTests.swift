// SPDX-License-Identifier: MIT
// Whole clusters under shared keys, in virtual time: they form and heal as others do, strangers stay outside, keys are exchanged while all
// runs, and what was recorded does nothing when it is sent again. Seeded; no sockets.

import Testing

@testable import PikoCore

#if DEBUG
    private let sizes = [3, 10]
#else
    private let sizes = [3, 10, 30]
#endif

/// What somebody on the wire has written down.
private final class Recording {
    var packets: [(from: Int, to: Int, bytes: [UInt8])] = []
}

/// What nodes were told of others.
private final class Changes {
    var told: [String] = []
}

@Suite struct SealedClusterTests {
    private static let rough = SimulatedCluster.Network(loss: 0.1, repeats: 0.05, delay: 1...80)
    private let old = ToyKey(id: 1)
    private let new = ToyKey(id: 2)

    private func cluster(_ count: Int, seed: UInt64, _ network: SimulatedCluster.Network = SimulatedCluster.Network()) -> SimulatedCluster {
        var cluster = SimulatedCluster(count, seed: seed, network: network)
        for index in cluster.nodes.indices { cluster.nodes[index].keys = [old] }
        return cluster
    }

    private func formed(_ count: Int, seed: UInt64, _ network: SimulatedCluster.Network = SimulatedCluster.Network()) -> SimulatedCluster {
        var cluster = cluster(count, seed: seed, network)
        cluster.startAll()
        #expect(cluster.run(until: 10_000, SimulatedCluster.isConverged) != nil, "\(cluster.disagreements)")
        return cluster
    }

    private func rejected(_ cluster: SimulatedCluster, _ index: Int) -> [GossipRejection: UInt64] {
        cluster.nodes[index].gossip?.counters.rejected ?? [:]
    }

    @Test("sealed: nodes that start at once on a lossy network are one cluster within 8 s; packets keep to their size, seals included", arguments: sizes)
    func forms(count: Int) {
        var cluster = cluster(count, seed: UInt64(count), Self.rough)
        cluster.startAll()
        #expect(cluster.run(until: 8_000, SimulatedCluster.isConverged) != nil, "\(cluster.disagreements)")
        cluster.set(0, "new", 3)
        #expect(cluster.run(until: 3_000, SimulatedCluster.isConverged) != nil, "\(cluster.disagreements)")
        #expect(cluster.largestPacket <= 1_400 && cluster.largestPacket > (count > 3 ? 1_000 : 200), "\(cluster.largestPacket)")
        for index in cluster.nodes.indices {
            #expect(rejected(cluster, index).keys.allSatisfy { $0 == .replayed }, "the network repeats: \(rejected(cluster, index))")
        }
    }

    @Test("sealed: a dead node is missed, a restarted one under its id is back, a frozen one goes on, all as without keys")
    func lives() {
        var cluster = formed(5, seed: 3, Self.rough)
        cluster.kill(1)
        #expect(cluster.run(until: 5_000) { $0.nodes[0].view.node("node-1")?.status == .unreachable } != nil)
        cluster.start(1)
        #expect(cluster.run(until: 6_000, SimulatedCluster.isConverged) != nil, "\(cluster.disagreements)")
        cluster.freeze(2)
        cluster.run(30_000)
        cluster.thaw(2)
        #expect(cluster.run(until: 8_000, SimulatedCluster.isConverged) != nil, "\(cluster.disagreements)")
        cluster.nodes[3].group = 1
        cluster.nodes[4].group = 1
        cluster.run(90_000)
        cluster.nodes[3].group = 0
        cluster.nodes[4].group = 0
        #expect(cluster.run(until: 20_000, SimulatedCluster.isConverged) != nil, "\(cluster.disagreements)")
    }

    @Test("sealed: a node with another key or with none neither joins nor learns nor is known, and is counted")
    func strangers() {
        var cluster = cluster(5, seed: 9)
        cluster.nodes[3].keys = [new]
        cluster.nodes[4].keys = []
        cluster.startAll()
        cluster.run(20_000)
        for index in 0..<3 {
            #expect(cluster.nodes[index].view.nodes.map(\.id).sorted() == ["node-0", "node-1", "node-2"])
            #expect(rejected(cluster, index)[.unknownKey] ?? 0 > 0 && rejected(cluster, index)[.unsealed] ?? 0 > 0)
        }
        for index in 3..<5 { #expect(cluster.nodes[index].view.nodes.map(\.id) == ["node-\(index)"]) }
        #expect(rejected(cluster, 3)[.unknownKey] ?? 0 == 0, "nobody writes to it")
    }

    /// Replaces every node's keys in turn, and looks that none loses sight of another meanwhile.
    private func rotate(_ cluster: inout SimulatedCluster, to keys: [ToyKey], byRestart: Bool) {
        for index in cluster.nodes.indices {
            let changes = Changes()
            let restarted = cluster.nodes[index].id
            cluster.onChange = { observer, now, change in
                if case .status(let id, let status) = change, status != .active, !(byRestart && (id == restarted || observer == index)) {
                    changes.told.append("\(now): \(observer) of \(id): \(status)")
                }
            }
            if byRestart {
                cluster.leave(index)
                cluster.run(200)
                cluster.kill(index)
                cluster.nodes[index].keys = keys
                cluster.start(index)
            } else {
                cluster.use(index, keys: keys)
            }
            cluster.run(3_000)
            #expect(SimulatedCluster.isConverged(cluster), "\(cluster.disagreements)")
            #expect(changes.told.isEmpty, "\(changes.told)")
        }
        cluster.onChange = nil
    }

    @Test("sealed: new key second everywhere, then first, then alone: no node loses sight of another", arguments: [true, false])
    func rotation(byRestart: Bool) {
        var cluster = formed(4, seed: 21)
        for keys in [[old, new], [new, old], [new]] { rotate(&cluster, to: keys, byRestart: byRestart) }
        for index in cluster.nodes.indices {
            #expect(rejected(cluster, index)[.unknownKey] == nil && rejected(cluster, index)[.forged] == nil)
        }
        var late = cluster
        late.kill(3)
        late.nodes[3].keys = [old]
        late.start(3)
        late.run(15_000)
        #expect(late.nodes[3].view.nodes.count == 1, "the old key is worth nothing")
    }

    @Test("sealed: all that was recorded, sent again to every node, changes nothing and keeps no dead node alive", arguments: [1, 2, 3])
    func replay(seed: UInt64) {
        var cluster = cluster(4, seed: seed)
        let recording = Recording()
        cluster.onDatagram = { recording.packets.append(($0, $1, $2)) }
        cluster.startAll()
        cluster.run(3_000)
        cluster.set(1, "gone", 5)
        cluster.run(1_000)
        cluster.set(1, "gone", 0)
        cluster.run(1_000)
        let recorded = recording.packets
        #expect(recorded.count > 300)
        cluster.onDatagram = nil
        cluster.kill(1)
        let changes = Changes()
        cluster.onChange = { observer, now, change in
            if change != .status(id: "node-1", .unreachable) { changes.told.append("\(now): \(observer): \(change)") }
        }
        let start = cluster.now
        var unreachable: UInt64?
        for packet in recorded.shuffled(using: &cluster.random) {
            for node in [0, 2, 3] { cluster.inject(packet.bytes, into: node, as: packet.from) }
            cluster.run(10)
            if unreachable == nil, cluster.nodes[0].view.node("node-1")?.status == .unreachable { unreachable = cluster.now - start }
        }
        #expect(unreachable ?? .max < 5_000, "\(String(describing: unreachable)) ms")
        #expect(changes.told.isEmpty, "\(changes.told.prefix(5))")
        #expect(rejected(cluster, 0)[.replayed] ?? 0 > 20)
    }

    @Test("sealed: what was recorded of a node's earlier life does nothing to its next one")
    func earlierLife() {
        var cluster = cluster(3, seed: 5)
        let recording = Recording()
        cluster.onDatagram = { recording.packets.append(($0, $1, $2)) }
        cluster.startAll()
        cluster.run(2_000)
        let recorded = recording.packets
        cluster.onDatagram = nil
        cluster.kill(0)
        cluster.run(200)
        cluster.start(0)
        let changes = Changes()
        for packet in recorded { cluster.inject(packet.bytes, into: 0, as: packet.from) }
        #expect(cluster.run(until: 5_000, SimulatedCluster.isConverged) != nil, "\(cluster.disagreements)")
        cluster.onChange = { observer, now, change in changes.told.append("\(now): \(observer): \(change)") }
        for packet in recorded {
            for node in 0..<3 { cluster.inject(packet.bytes, into: node, as: packet.from) }
        }
        cluster.run(2_000)
        #expect(changes.told.isEmpty, "\(changes.told.prefix(5))")
    }
}
