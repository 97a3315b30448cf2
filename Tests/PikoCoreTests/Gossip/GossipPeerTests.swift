// SPDX-License-Identifier: MIT
// One node of Gossip against what others send it: the original's recorded messages, old answers, lies, floods.
// No sockets; the vectors are read from Tests/vectors.

import Foundation
import Testing

@testable import PikoCore

@Suite struct GossipPeerTests {
    private struct Vectors: Decodable {
        struct Message: Decodable {
            var name: String
            var hex: String
        }
        var messages: [Message]
    }

    private static let vectors: [String: [UInt8]] = {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let data = try! Data(contentsOf: tests.appendingPathComponent("vectors/gossip.json"))
        let messages = try! JSONDecoder().decode(Vectors.self, from: data).messages
        return Dictionary(messages.map { ($0.name, bytes($0.hex)) }) { first, _ in first }
    }()

    private static func bytes(_ hex: String) -> [UInt8] {
        let digits = Array(hex.utf8).map { UInt8($0 < 58 ? $0 - 48 : $0 - 87) }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    private func vector(_ name: String) throws -> [UInt8] { try #require(Self.vectors[name]) }

    private func node(_ letter: String, port: Int) -> Gossip {
        let settings = GossipSettings(
            peer: GossipPeer(id: "node-\(letter)", address: "127.0.0.1:\(port + 3)"), proxyAddress: "127.0.0.1:\(port)",
            adminAddress: "127.0.0.1:\(port + 2)")
        return Gossip(settings, random: GossipRandom(seed: 1), now: 0)
    }

    private func view(_ id: String, _ directives: [GossipDirective]) -> ClusterView {
        var view = ClusterView(localID: id)
        for case .change(let change) in directives { view.apply(change) }
        return view
    }

    private func sent(_ directives: [GossipDirective]) -> [GossipMessage] {
        directives.compactMap { if case .send(let message, _) = $0 { message } else { nil } }
    }

    private let stranger = GossipPeer(id: "x", address: "h:1")

    @Test("our node in the place of the recorded one says the same, byte for byte")
    func asTheOriginal() throws {
        var node = node("a", port: 28000)
        var seen = node.handle(.listeners(endpoint: "my-endpoint", 1), now: 0)
        let joined = node.handle(.request(try vector("join request accepted by the Go node")[...]), now: 1)
        #expect(joined.contains(.answer(try vector("join reply of the Go node"))))
        seen += joined
        #expect(view("node-a", seen).node("node-b")?.endpoints == ["foo": 2])
        let asked = node.handle(.packet(try vector("digest request answered by the Go node")[...], from: "127.0.0.1:28103"), now: 2)
        let answers = sent(asked)
        #expect(answers.count == 2)
        #expect(answers.first?.bytes == (try vector("delta answering a digest")))
        guard case .digest(_, false, let digest) = answers.last, case .digest(_, _, let recorded) = try GossipMessage.read(vector("digest reply")[...])
        else { Issue.record("no digest"); return }
        #expect(digest.sorted { $0.peer.id < $1.peer.id } == recorded.sorted { $0.peer.id < $1.peer.id })
        _ = node.handle(.listeners(endpoint: "my-endpoint", 0), now: 3)
        let left = node.handle(.leave, now: 4)
        #expect(left.contains(.leave(try vector("leave request"), to: "127.0.0.1:28103")))
    }

    @Test("our node takes what the recorded one says: it joins, sees its endpoint, hears it, sees it leave")
    func withTheOriginal() throws {
        var node = node("b", port: 28100)
        var seen = node.handle(.listeners(endpoint: "foo", 2), now: 0)
        seen += node.handle(.seeds(["127.0.0.1:28003"]), now: 0)
        #expect(seen.contains(.join(try vector("join request accepted by the Go node"), to: "127.0.0.1:28003")))
        seen += node.handle(.joinReply(try vector("join reply of the Go node")[...], from: "127.0.0.1:28003"), now: 1)
        #expect(node.isJoined)
        #expect(view("node-b", seen).node("node-a")?.endpoints == ["my-endpoint": 1])
        seen += node.handle(.packet(try vector("delta answering a digest")[...], from: "127.0.0.1:28003"), now: 2)
        #expect(sent(node.handle(.packet(try vector("digest request")[...], from: "127.0.0.1:28003"), now: 3)).count == 2)
        let leave = node.handle(.request(try vector("leave request")[...]), now: 4)
        #expect(leave.contains(.answer(try vector("leave reply accepted by the Go node"))))
        let node_a = view("node-b", seen + leave).node("node-a")
        #expect(node_a?.status == .left && node_a?.endpoints == [:])
        #expect(node.counters.malformed == 0)
    }

    @Test("an answer to a question of an earlier life leaves no gap: the teller is asked for all")
    func oldAnswers() {
        var node = node("b", port: 1)
        let late = [GossipEntry(key: "endpoint:late", value: "1", version: 40)]
        let heard = node.handle(.message(.delta(from: stranger, [NodeDelta(peer: GossipPeer(id: "y", address: "h:2"), entries: late)]), from: "h:1"), now: 5)
        #expect(node.entries("y") == [])
        #expect(heard.contains { if case .join(_, "h:1") = $0 { true } else { false } })
    }

    @Test("a state that lags behind is fetched at once, packet by packet, and each packet fits")
    func pulls() {
        var owner = node("a", port: 28000)
        var other = node("b", port: 28100)
        for index in 0..<500 { _ = owner.handle(.listeners(endpoint: "service-\(index)", 1), now: 0) }
        var toOwner = [GossipMessage.digest(from: other.settings.peer, isRequest: false, [DigestEntry(peer: owner.settings.peer, version: 0, left: false)])]
        var rounds = 0
        while let message = toOwner.popLast(), rounds < 100 {
            rounds += 1
            for answer in sent(owner.handle(.message(message, from: "b"), now: UInt64(10 * rounds))) {
                #expect(answer.bytes.count <= 1400)
                toOwner += sent(other.handle(.packet(answer.bytes[...], from: "a"), now: UInt64(10 * rounds)))
            }
        }
        #expect(other.entries("node-a") == owner.entries("node-a"))
        #expect(rounds < 40)
    }

    @Test("lies are bounded: versions that end all writing, our own id, endless nodes, texts without end, bytes that are nothing")
    func lies() {
        var node = node("a", port: 1)
        let mine = node.settings.peer
        _ = node.handle(.message(.digest(from: stranger, isRequest: true, [DigestEntry(peer: mine, version: .max, left: false)]), from: "h:1"), now: 1)
        #expect(node.state("node-a")?.version == 2)
        let long = String(repeating: "k", count: 5_000)
        for entry in [GossipEntry(key: "proxy_addr", value: "p", version: .max), GossipEntry(key: long, value: "", version: 9)] {
            _ = node.handle(.message(.delta(from: stranger, [NodeDelta(peer: stranger, entries: [entry])]), from: "h:1"), now: 2)
            #expect(node.entries("x") == [])
        }
        let crowd = (0..<5_000).map { DigestEntry(peer: GossipPeer(id: "n\($0)", address: "h:\($0)"), version: 1, left: false) }
        _ = node.handle(.message(.digest(from: stranger, isRequest: false, crowd), from: "h:1"), now: 3)
        #expect(node.nodes.count <= Gossip.Limit.nodes + 1)
        let twin = GossipPeer(id: "node-a", address: "elsewhere:1")
        #expect(node.handle(.message(.digest(from: twin, isRequest: true, []), from: "e:1"), now: 4) == [.log(.sameID(address: "e:1"))])
        #expect(node.handle(.packet([9, 9, 9], from: "h:1"), now: 5) == [.log(.rejected(.malformed, from: "h:1"))])
        #expect(node.handle(.packet([0xC1, 1, 9], from: "h:1"), now: 5) == [.log(.rejected(.sealed, from: "h:1"))])
        #expect(node.handle(.request([1, 0, 0x80]), now: 5) == [.answer([])])
        #expect(node.counters.malformed == 2 && node.counters.rejected[.sealed] == 1)
    }

    @Test("what is not taken is counted by its reason, once each: nobody's, this node's own name, more nodes than are kept")
    func countedByReason() {
        var node = node("a", port: 1)
        let mine = node.settings.peer
        let nameless = GossipPeer(id: String(repeating: "n", count: 257), address: "h:1")
        let homeless = GossipPeer(id: "n", address: String(repeating: "h", count: 281))
        let twin = GossipPeer(id: mine.id, address: "elsewhere:1")
        func counts() -> [GossipRejection: UInt64] { node.counters.rejected }
        for (number, peer) in [nameless, homeless].enumerated() {
            let before = UInt64(3 * number)
            _ = node.handle(.message(.digest(from: peer, isRequest: true, []), from: "h:1"), now: 1)
            #expect(node.handle(.request(GossipMessage.join(from: peer, [], []).bytes[...]), now: 1).contains(.answer([])))
            _ = node.handle(.joinReply(GossipReply(from: peer, nodes: []).bytes(toJoin: true)[...], from: "h:1"), now: 1)
            #expect(counts() == [.unnamed: before + 3])
        }
        let unknown = [DigestEntry(peer: nameless, version: 1, left: false)]
        _ = node.handle(.message(.digest(from: stranger, isRequest: false, unknown), from: "h:1"), now: 2)
        #expect(counts() == [.unnamed: 7])
        _ = node.handle(.message(.delta(from: twin, []), from: "h:1"), now: 3)
        #expect(node.handle(.request(GossipMessage.leave(from: twin, []).bytes[...]), now: 3).contains(.answer([])))
        #expect(!node.handle(.request(GossipMessage.join(from: mine, [], []).bytes[...]), now: 3).contains(.answer([])), "itself, by another way")
        #expect(counts() == [.unnamed: 7, .ownID: 2])
        let crowd = (0..<(Gossip.Limit.nodes + 9)).map { DigestEntry(peer: GossipPeer(id: "n\($0)", address: "h:\($0)"), version: 1, left: false) }
        _ = node.handle(.message(.digest(from: stranger, isRequest: false, crowd), from: "h:1"), now: 4)
        #expect(counts() == [.unnamed: 7, .ownID: 2, .bound: 10], "one of the places is the teller's")
    }

    @Test("packets of unknown nodes are counted, and looked at two hundred times a second, no more")
    func strangers() {
        var node = node("a", port: 28000)
        for number in 0..<2_000 {
            let peer = GossipPeer(id: "n\(number)", address: "h:\(number + 1)")
            _ = node.handle(.message(.digest(from: peer, isRequest: false, []), from: peer.address), now: 1_000)
        }
        #expect(node.counters.unknownNodePackets == 2_000 && node.nodes.count <= 501)
        #expect(node.counters.rejected[.bound] ?? 0 >= 1_500)
    }

    @Test("a flood of digests is answered a thousand times a second, no more")
    func flood() {
        var node = node("a", port: 1)
        var answers = 0
        for turn in 0..<10_000 {
            answers += sent(node.handle(.message(.digest(from: stranger, isRequest: false, []), from: "h:1"), now: UInt64(turn / 10))).count
        }
        #expect((1_000...1_250).contains(answers))
        #expect(node.counters.unanswered == UInt64(10_000 - answers))
    }

    @Test("an endpoint whose name fits no packet is refused with a line, and holds up no other")
    func longNames() {
        var node = node("a", port: 1)
        let refused = node.handle(.listeners(endpoint: String(repeating: "e", count: 1_400), 1), now: 1)
        #expect(refused.last == .log(.endpointTooLong(bytes: 1_409)))
        _ = node.handle(.listeners(endpoint: "short", 1), now: 1)
        #expect(node.entries("node-a")?.count == 3)
    }

    @Test("seeds are resolved for ever, and asked by packet while connections to them hang")
    func seedsForEver() {
        var node = node("a", port: 1)
        let first = node.handle(.seeds(["s:1"]), now: 1)
        let second = node.handle(.seeds(["s:1"]), now: 600)
        let isJoin = { (directive: GossipDirective) in if case .join(_, "s:1") = directive { true } else { false } }
        let isPacket = { (directive: GossipDirective) in if case .send(.digest, "s:1") = directive { true } else { false } }
        #expect(first.contains(where: isJoin) && first.contains(where: isPacket))
        #expect(!second.contains(where: isJoin) && second.contains(where: isPacket))
        let reply = GossipReply(from: stranger, nodes: []).bytes(toJoin: true)
        _ = node.handle(.joinReply(reply[...], from: "s:1"), now: 700)
        var resolved: [UInt64] = []
        for time in stride(from: 1_000 as UInt64, to: 1_200_000, by: 110) where node.handle(.tick, now: time).contains(.resolveSeeds) {
            resolved.append(time)
        }
        #expect(zip(resolved, resolved.dropFirst()).allSatisfy { $1 - $0 <= 2_500 })
        #expect((resolved.last ?? 0) > 1_190_000)
    }

    @Test("a seed that is this node itself is found out, asked again, and believed when it is another next time")
    func ownSeed() {
        var node = node("a", port: 1)
        let asked = node.handle(.seeds(["alias:4"]), now: 1)
        guard case .join(let bytes, "alias:4")? = asked.first(where: { if case .join = $0 { true } else { false } }) else {
            Issue.record("not asked")
            return
        }
        guard case .answer(let reply)? = node.handle(.request(bytes[...]), now: 2).first, !reply.isEmpty else {
            Issue.record("not answered")
            return
        }
        #expect(!node.isOwn("alias:4"))
        _ = node.handle(.joinReply(reply[...], from: "alias:4"), now: 3)
        #expect(node.isOwn("alias:4") && node.isOwn("127.0.0.1:4") && !node.isJoined && !node.knowsOthers)
        #expect(node.handle(.seeds(["alias:4"]), now: 600).contains { if case .join(_, "alias:4") = $0 { true } else { false } })
        let other = GossipReply(from: stranger, nodes: []).bytes(toJoin: true)
        _ = node.handle(.joinReply(other[...], from: "alias:4"), now: 601)
        #expect(!node.isOwn("alias:4") && node.isJoined && node.knowsOthers)
    }

    @Test("a seed that joins this node first is a seed that was joined")
    func joinedBySeed() {
        var node = node("a", port: 1)
        _ = node.handle(.seeds(["h:1"]), now: 1)
        _ = node.handle(.joinFailed(address: "h:1"), now: 2)
        _ = node.handle(.message(.digest(from: stranger, isRequest: false, []), from: "h:1"), now: 3)
        _ = node.handle(.seeds(["h:1"]), now: 500)
        #expect(node.isJoined)
    }

    @Test("a node that began anew with low versions is believed alone; others may only know its earlier life")
    func earlierLife() {
        var node = node("a", port: 1)
        let reborn = GossipPeer(id: "y", address: "h:2")
        func life(_ version: UInt64, _ endpoint: String, from teller: GossipPeer, at now: UInt64) {
            let entries = ["proxy_addr", "admin_addr", "endpoint:\(endpoint)"].enumerated().map {
                GossipEntry(key: $1, value: "1", version: version + UInt64($0))
            }
            _ = node.handle(.message(.delta(from: teller, [NodeDelta(peer: reborn, entries: entries)]), from: teller.address), now: now)
        }
        func claim(_ version: UInt64, at now: UInt64) {
            let digest = [DigestEntry(peer: reborn, version: version, left: false)]
            _ = node.handle(.message(.digest(from: reborn, isRequest: false, digest), from: "h:2"), now: now)
        }
        life(100, "old", from: reborn, at: 1)
        claim(3, at: 1_000)
        claim(3, at: 4_000)
        life(1, "new", from: reborn, at: 4_001)
        life(100, "old", from: stranger, at: 4_002)
        #expect(node.entries("y")?.map(\.key) == ["proxy_addr", "admin_addr", "endpoint:new"])
        life(200, "newer", from: reborn, at: 4_003)
        #expect(node.state("y")?.version == 202)
    }

    @Test("what others say is bounded in bytes; what was forgotten makes room")
    func weight() {
        var entries = VersionedEntries()
        for version in 1...100 as ClosedRange<UInt64> { entries.put(GossipEntry(key: "k\(version % 10)", value: "v", version: version)) }
        #expect(entries.weight == 10 * VersionedEntries.weight(of: GossipEntry(key: "k1", value: "v", version: 1)))
        _ = entries.discard(upTo: 100)
        #expect(entries.weight == 0)
        var node = node("a", port: 1)
        node.weight = Gossip.Limit.weight
        let delta = GossipMessage.delta(from: stranger, [NodeDelta(peer: stranger, entries: [GossipEntry(key: "proxy_addr", value: "p", version: 1)])])
        #expect(node.handle(.message(delta, from: "h:1"), now: 1).contains(.log(.tooMuchState)))
        #expect(node.entries("x") == [] && node.counters.rejected == [.bound: 1])
        _ = node.handle(.tick, now: 2)
        _ = node.handle(.message(delta, from: "h:1"), now: 3)
        #expect(node.entries("x")?.count == 1)
    }

    @Test("nodes at IPv6 addresses are asked there")
    func sixes() {
        var node = node("a", port: 1)
        let six = GossipPeer(id: "six", address: "[2001:db8::6]:8003")
        let heard = node.handle(.message(.digest(from: six, isRequest: false, []), from: six.address), now: 1)
        #expect(heard.contains { if case .send(.delta, "[2001:db8::6]:8003") = $0 { true } else { false } })
    }

    private func hears(_ claimed: UInt64) -> UInt64? {
        var node = node("a", port: 8000)
        let other = GossipPeer(id: "node-b", address: "127.0.0.1:9003")
        let me = node.settings.peer
        _ = node.handle(
            .message(.digest(from: other, isRequest: false, [DigestEntry(peer: me, version: claimed, left: false)]), from: other.address), now: 5_000)
        return node.state(me.id)?.version
    }

    @Test("a claim about this node's own version is outdone, but never so high that there were no versions left to write")
    func outdone() throws {
        let before = try #require(node("a", port: 8000).state("node-a")?.version)
        #expect(try #require(hears(1 << 40)) > 1 << 40)
        #expect(try #require(hears(GossipKey.versionLimit / 2 - 1)) > GossipKey.versionLimit / 2 - 1)
        #expect(hears(GossipKey.versionLimit / 2) == before)
        #expect(hears(GossipKey.versionLimit - 1) == before)
    }

    @Test("a node that is known by hearsay alone and never speaks is unreachable after two seconds, as one that has spoken is")
    func neverHeard() {
        var node = node("a", port: 8000)
        let other = GossipPeer(id: "node-b", address: "127.0.0.1:9003")
        let silent = DigestEntry(peer: GossipPeer(id: "node-c", address: "127.0.0.1:9103"), version: 7, left: false)
        var unreachable: UInt64?
        for now in stride(from: UInt64(0), to: 5_000, by: 50) where unreachable == nil {
            var directives = node.handle(.message(.digest(from: other, isRequest: false, [silent]), from: other.address), now: now)
            directives += node.handle(.message(.delta(from: other, []), from: other.address), now: now)
            directives += node.handle(.tick, now: now)
            if directives.contains(.change(.status(id: "node-c", .unreachable))) { unreachable = now }
        }
        #expect(unreachable.map { $0 <= 2_200 } == true, "\(String(describing: unreachable))")
    }
}
