// SPDX-License-Identifier: MIT
// The parts of Gossip by themselves: keys and compaction, silence, sizes, the router's view. No sockets, no clock.
// Whole clusters are GossipClusterTests'.

import Testing

@testable import PikoCore

@Suite struct GossipStateTests {
    private let peer = GossipPeer(id: "node-a", address: "127.0.0.1:8003")

    private func live(_ entries: VersionedEntries) -> [String: String] {
        var live: [String: String] = [:]
        for entry in entries.entries() where !entry.isDeleted && !entry.isInternal { live[entry.key] = entry.value }
        return live
    }

    @Test("entries: the newest of each key in version order, from any version on")
    func versionOrder() {
        var entries = VersionedEntries()
        for version in 1...1_000 as ClosedRange<UInt64> {
            entries.put(GossipEntry(key: "k\(version % 7)", value: "\(version)", version: version, isDeleted: version % 14 == 0))
        }
        #expect(entries.count == 7)
        #expect(entries.entries().map(\.version) == Array(994...1_000))
        #expect(entries.entries(above: 997).map(\.version) == [998, 999, 1_000])
        #expect(entries.deletedCount == 1)
        #expect(entries["k1"]?.value == "995")
        #expect(entries.discard(upTo: 996).map(\.version) == [994, 995, 996])
        #expect(entries.count == 4 && entries["k1"] == nil && entries.version == 1_000)
    }

    @Test("compaction: after 100 deleted keys a small state is written anew, addresses first, and says so")
    func compacts() {
        var own = OwnState(base: 0, proxyAddress: "p", adminAddress: "a")
        _ = own.set("endpoint:stays", "2")
        for index in 0..<100 {
            _ = own.set("endpoint:e\(index)", "1")
            _ = own.delete("endpoint:e\(index)")
        }
        let entries = own.entries.entries()
        #expect(entries.map(\.key) == ["proxy_addr", "admin_addr", "endpoint:stays", "_internal:compact"])
        #expect(entries.map(\.version) == [204, 205, 206, 207])
        #expect(entries.last?.value == "203" && entries.last?.isInternal == true)
    }

    @Test("compaction: a large state is written anew bit by bit, and who follows has the same keys at any time")
    func compactsGradually() {
        var own = OwnState(base: 1_000, proxyAddress: "p", adminAddress: "a")
        var follower = Member(peer: peer, interval: 100, now: 0)
        var random = GossipRandom(seed: 5)
        var changes: [ClusterChange] = []
        for index in 0..<1_000 { _ = own.set("endpoint:e\(index)", "1") }
        var largest: UInt64 = 0
        for turn in 0..<8_000 {
            let before = own.version
            let key = "endpoint:e\(random.next() % 2_000)"
            _ = random.next() % 2 == 0 ? own.delete(key) : own.set(key, "\(turn)")
            largest = max(largest, own.version - before)
            guard turn % 400 == 0 else { continue }
            _ = follower.apply(own.entries.entries(above: follower.version), now: 0, &changes)
            #expect(live(follower.entries) == live(own.entries))
        }
        #expect(largest <= 110)
        #expect(own.entries.count < 5_000)
        #expect(own.version < 1_000 + 8_000 * 4)
    }

    @Test("own keys: a later life is above what is known of an earlier one, which goes as a whole")
    func rises() {
        var own = OwnState(base: 0, proxyAddress: "p", adminAddress: "a")
        var others = Member(peer: peer, interval: 100, now: 0)
        var changes: [ClusterChange] = []
        let past = (1...50).map { GossipEntry(key: "endpoint:past\($0)", value: "1", version: UInt64($0)) }
        _ = others.apply(past, now: 0, &changes)
        _ = own.set("endpoint:now", "3")
        own.rise(above: 50)
        changes = []
        #expect(others.apply(own.entries.entries(), now: 0, &changes) == 4)
        #expect(live(others.entries) == ["proxy_addr": "p", "admin_addr": "a", "endpoint:now": "3"])
        #expect(changes.filter { if case .endpoint(_, _, 0) = $0 { true } else { false } }.count == 50)
    }

    @Test("silence: above 20 means a node is suspected, by its last 50 intervals")
    func silence() {
        var window = ArrivalWindow(first: 200, now: 0)
        #expect(window.suspicion(4_000, least: 1) == 20)
        for turn in 1...60 { window.heard(UInt64(turn) * 100) }
        #expect(window.suspicion(6_000 + 2_000, least: 1) == 20)
        for turn in 1...49 { window.heard(6_000 + UInt64(turn) * 10) }
        #expect(window.suspicion(6_490 + 118, least: 1) == 10)
        #expect(window.suspicion(6_490 + 1_000, least: 100) == 10)
        window.forgive(5_000)
        #expect(window.suspicion(7_000, least: 100) == 0)
    }

    @Test("sizes are those of the bytes written")
    func sizes() {
        let versions: [UInt64] = [0, 127, 128, 255, 256, 65_535, 65_536, 1 << 32 - 1, 1 << 32, 1 << 61]
        for length in [1, 31, 32, 255, 256] {
            let other = GossipPeer(id: String(repeating: "n", count: length), address: "[::1]:8003")
            let digest = versions.map { DigestEntry(peer: other, version: $0, left: $0 % 2 == 0) }
            let entries = versions.map { GossipEntry(key: String(repeating: "k", count: length), value: "é", version: $0, isDeleted: true) }
            let many = Array(repeating: entries, count: 20).flatMap { $0 }
            for message in [
                GossipMessage.digest(from: other, isRequest: true, digest), .delta(from: peer, []),
                .delta(from: other, [NodeDelta(peer: peer, entries: entries), NodeDelta(peer: other, entries: many)]),
            ] {
                #expect(GossipSize.packet(message) == message.bytes.count)
            }
        }
    }

    @Test("view: a node is selected as often as it has listeners; never this one, an unreachable, a tried or an incomplete one")
    func selects() {
        var view = ClusterView(localID: "me")
        for (id, count) in [("me", 9), ("a", 1), ("b", 3), ("down", 5), ("tried", 5), ("half", 5)] {
            view.apply(.added(id: id))
            view.apply(.proxyAddress(id: id, "p-\(id)"))
            if id != "half" { view.apply(.adminAddress(id: id, "a-\(id)")) }
            view.apply(.endpoint(id: id, endpoint: "e", listeners: count))
        }
        view.apply(.status(id: "down", .unreachable))
        var random = GossipRandom(seed: 1)
        var hits: [String: Int] = [:]
        for _ in 0..<4_000 { hits[view.select(endpoint: "e", excluding: ["tried"], using: &random)?.id ?? "", default: 0] += 1 }
        #expect(Set(hits.keys) == ["a", "b"])
        #expect((850...1_150).contains(hits["a"] ?? 0))
        #expect(view.remoteListeners("e") == 9)
        #expect(view.nodes.map(\.id) == ["a", "b", "down", "me", "tried"])
        view.apply(.endpoint(id: "b", endpoint: "e", listeners: 0))
        view.apply(.removed(id: "a"))
        #expect(view.select(endpoint: "e", excluding: ["tried"], using: &random) == nil)
        #expect(view.select(endpoint: "none", using: &random) == nil)
    }
}
