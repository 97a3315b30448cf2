// SPDX-License-Identifier: MIT
// Sealed packets between nodes that are not there: who is believed, when, and how often. No sockets, the clock is a number.
// Whole clusters under keys are in SealedClusterTests.

import Testing

@testable import PikoCore

@Suite struct SealedPacketsTests {
    /// One node's packets and where it is.
    private final class End {
        let address: String
        var packets: SealedPackets

        init(_ number: UInt8, keys: [UInt32] = [1], epoch: UInt64? = nil, now: UInt64 = 1_000) {
            address = "n\(number):1"
            packets = SealedPackets(
                keys.map { ToyKey(id: $0) }, life: [UInt8](repeating: number, count: 16), epoch: epoch ?? UInt64(number) << 40, now: now)
        }

        init(copying other: End) {
            address = other.address
            packets = other.packets
        }

        var message: GossipMessage { .digest(from: GossipPeer(id: address, address: address), isRequest: true, []) }

        func packet(to other: End, _ now: UInt64) -> [UInt8] { packets.seal(message.bytes, to: other.address, now: now) }
    }

    private func message(_ opened: SealedPackets.Opened) -> GossipMessage? {
        if case .message(let message) = opened { message } else { nil }
    }

    private func rejection(_ opened: SealedPackets.Opened) -> GossipRejection? {
        if case .rejected(let reason) = opened { reason } else { nil }
    }

    private func answer(_ opened: SealedPackets.Opened) -> [UInt8]? {
        if case .answer(let packet, _) = opened { packet } else { nil }
    }

    private func held(_ opened: SealedPackets.Opened) -> [UInt8]? {
        if case .held(let packet, _) = opened { packet } else { nil }
    }

    /// Has `one` greet the other, and returns the first packet with a message.
    private func meet(_ one: End, _ other: End, _ now: UInt64) throws -> [UInt8] {
        let greeting = one.packet(to: other, now)
        let answered = try #require(answer(other.packets.open(greeting[...], now: now)))
        return try #require(held(one.packets.open(answered[...], now: now)))
    }

    @Test("the first message to an address waits for the answer to a greeting; then both sides write to each other at once")
    func greeting() throws {
        let (a, b) = (End(1), End(2))
        let first = try meet(a, b, 1_000)
        #expect(message(b.packets.open(first[...], now: 1_001)) == a.message)
        let back = b.packet(to: a, 1_002)
        #expect(message(a.packets.open(back[...], now: 1_003)) == b.message)
        let next = a.packet(to: b, 1_004)
        #expect(message(b.packets.open(next[...], now: 1_005)) == a.message)
        #expect(next.count == a.message.bytes.count + GossipEnvelope.packetSize)
    }

    @Test("a packet that comes again, in or out of order, is taken once")
    func replay() throws {
        let (a, b) = (End(1), End(2))
        var recorded = [try meet(a, b, 1_000)]
        #expect(message(b.packets.open(recorded[0][...], now: 1_000)) != nil)
        for turn in 0..<200 { recorded.append(a.packet(to: b, 1_001 + UInt64(turn))) }
        let early = recorded.dropFirst().reversed().suffix(60)
        for packet in early { #expect(message(b.packets.open(packet[...], now: 1_300)) != nil) }
        for packet in recorded.suffix(60) { #expect(message(b.packets.open(packet[...], now: 1_300)) != nil) }
        for packet in ([recorded[0]] + early + recorded.suffix(60)).shuffled() { #expect(message(b.packets.open(packet[...], now: 1_301)) == nil) }
        #expect(rejection(b.packets.open(recorded[200][...], now: 1_301)) == .replayed)
    }

    @Test("a packet that was held back for more than ten seconds, or was for another life or another node, is answered and not taken")
    func stale() throws {
        let (a, b, c) = (End(1), End(2), End(3))
        let first = try meet(a, b, 1_000)
        let kept = a.packet(to: b, 1_001)
        #expect(message(b.packets.open(first[...], now: 1_001)) != nil)
        let late = End(copying: b)
        #expect(answer(late.packets.open(kept[...], now: 11_500)) != nil)
        #expect(answer(c.packets.open(kept[...], now: 1_002)) != nil)
        let again = End(2, epoch: 77 << 40)
        #expect(answer(again.packets.open(kept[...], now: 1_002)) != nil)
        #expect(message(b.packets.open(kept[...], now: 1_002)) != nil, "it was good")
    }

    @Test("a node that restarts is written to again after one answer, and its old life counts no more")
    func restart() throws {
        let (a, b) = (End(1), End(2))
        let first = try meet(a, b, 1_000)
        #expect(message(b.packets.open(first[...], now: 1_000)) != nil)
        let old = b.packet(to: a, 1_001)
        b.packets = SealedPackets([ToyKey(id: 1)], life: [UInt8](repeating: 9, count: 16), epoch: 9 << 40, now: 2_000)
        let lost = a.packet(to: b, 2_000)
        let answered = try #require(answer(b.packets.open(lost[...], now: 2_001)))
        _ = a.packets.open(answered[...], now: 2_002)
        let next = a.packet(to: b, 2_003)
        #expect(message(b.packets.open(next[...], now: 2_004)) == a.message)
        #expect(message(a.packets.open(old[...], now: 2_005)) != nil, "written and arrived before it was known to be over")
        #expect(rejection(a.packets.open(old[...], now: 2_005)) == .replayed)
    }

    @Test("a packet that is led to another node has its answer, and its receiver's place is kept")
    func astray() throws {
        let (a, b, c) = (End(1), End(2), End(3))
        let first = try meet(a, b, 1_000)
        let answered = try #require(answer(c.packets.open(first[...], now: 1_000)))
        guard case .nothing = a.packets.open(answered[...], now: 1_001) else { Issue.record("taken"); return }
        #expect(message(b.packets.open(a.packet(to: b, 1_002)[...], now: 1_002)) == a.message)
    }

    @Test("without a word for five seconds a node is greeted again, so that nothing arrives too old")
    func silence() throws {
        let (a, b) = (End(1), End(2))
        let first = try meet(a, b, 1_000)
        #expect(message(b.packets.open(first[...], now: 1_000)) != nil)
        #expect(a.packet(to: b, 6_000).count > GossipEnvelope.packetSize)
        #expect(a.packet(to: b, 6_001).count == GossipEnvelope.packetSize)
    }

    @Test("an answer that is sent again moves nothing, and is never answered itself")
    func answers() throws {
        let (a, b, c) = (End(1), End(2), End(3))
        let greeting = a.packet(to: b, 1_000)
        let answered = try #require(answer(b.packets.open(greeting[...], now: 1_000)))
        #expect(held(a.packets.open(answered[...], now: 1_000)) != nil)
        #expect(rejection(a.packets.open(answered[...], now: 1_000)) == .replayed)
        #expect(rejection(a.packets.open(answered[...], now: 20_000)) == .stale)
        #expect(rejection(c.packets.open(answered[...], now: 1_000)) == .stale)
    }

    @Test("a node's own packets that come back to it are not taken, and its own greeting is nothing")
    func reflection() throws {
        let (a, b) = (End(1), End(2))
        let greeting = a.packet(to: a, 1_000)
        guard case .nothing = a.packets.open(greeting[...], now: 1_000) else { Issue.record("its own greeting"); return }
        let first = try meet(a, b, 1_000)
        #expect(rejection(a.packets.open(first[...], now: 1_000)) == .stale)
    }

    @Test("any other bit, any cut, another key, no seal: refused by its reason, and nothing changes")
    func refused() throws {
        let (a, b, stranger) = (End(1), End(2), End(4, keys: [7]))
        let first = try meet(a, b, 1_000)
        for bit in 0..<(8 * first.count) {
            var other = first
            other[bit / 8] ^= 1 << UInt8(bit % 8)
            let reason = try #require(rejection(b.packets.open(other[...], now: 1_000)), "bit \(bit)")
            #expect(bit < 8 ? reason == .unsealed : bit < 16 ? reason == .malformed : bit < 48 ? reason == .unknownKey : reason == .forged)
        }
        for count in 0..<first.count { #expect(rejection(b.packets.open(first[..<count], now: 1_000)) != nil) }
        #expect(rejection(b.packets.open(a.message.bytes[...], now: 1_000)) == .unsealed)
        #expect(rejection(b.packets.open(stranger.packet(to: b, 1_000)[...], now: 1_000)) == .unknownKey)
        #expect(message(b.packets.open(first[...], now: 1_000)) == a.message, "nothing of this was held against it")
    }

    @Test("keys: the first seals, any opens; one that is dropped opens no more")
    func keys() throws {
        let (a, b) = (End(1, keys: [1]), End(2, keys: [2, 1]))
        #expect(rejection(a.packets.open(b.packet(to: a, 1_000)[...], now: 1_000)) == .unknownKey)
        a.packets.use([ToyKey(id: 1), ToyKey(id: 2)])
        let first = try meet(a, b, 1_001)
        #expect(message(b.packets.open(first[...], now: 1_001)) != nil)
        #expect(message(a.packets.open(b.packet(to: a, 1_002)[...], now: 1_002)) != nil)
        let old = a.packet(to: b, 1_003)
        a.packets.use([ToyKey(id: 2)])
        b.packets.use([ToyKey(id: 2)])
        #expect(message(b.packets.open(a.packet(to: b, 1_004)[...], now: 1_004)) != nil, "nobody greets anew")
        #expect(rejection(b.packets.open(old[...], now: 1_004)) == .unknownKey)
    }

    @Test("a greeting that comes again five thousand times is answered once and counted as replayed; others' greetings are answered throughout")
    func replayedGreeting() {
        let (a, b) = (End(1), End(2))
        let recorded = a.packet(to: b, 1_000)
        #expect(answer(b.packets.open(recorded[...], now: 1_000)) != nil)
        var others: [[UInt8]?] = []
        for number in 0..<5_000 {
            let now = 1_000 + UInt64(number) / 5
            #expect(rejection(b.packets.open(recorded[...], now: now)) == .replayed)
            guard number % 100 == 0 else { continue }
            let other = End(UInt8(10 + number / 100))
            others.append(answer(b.packets.open(other.packet(to: b, now)[...], now: now)))
        }
        #expect(others.count == 50 && others.allSatisfy { $0 != nil })
        #expect(answer(b.packets.open(a.packet(to: b, 2_001)[...], now: 2_001)) != nil, "a new one of the same node")
        #expect(rejection(b.packets.open(recorded[...], now: 60_000)) == .replayed, "later, too")
    }

    @Test("a message that is too old is answered once as well, however often it comes")
    func replayedMessage() throws {
        let (a, b) = (End(1), End(2))
        _ = try meet(a, b, 1_000)
        let kept = a.packet(to: b, 1_001)
        #expect(answer(b.packets.open(kept[...], now: 20_000)) != nil)
        for _ in 0..<5_000 { #expect(rejection(b.packets.open(kept[...], now: 20_000)) == .replayed) }
        #expect(answer(b.packets.open(a.packet(to: b, 20_000)[...], now: 20_000)) != nil)
    }

    @Test("messages for another node that are led here take no answer from a greeting")
    func astrayFlood() throws {
        let (a, b, c, other) = (End(1), End(2), End(3), End(4))
        let first = try meet(a, b, 1_000)
        #expect(message(b.packets.open(first[...], now: 1_000)) != nil)
        #expect(message(a.packets.open(b.packet(to: a, 1_000)[...], now: 1_000)) != nil)
        let answered = (0..<3_000).filter { _ in answer(c.packets.open(a.packet(to: b, 1_001)[...], now: 1_001)) != nil }
        #expect(answered.count == 200)
        #expect(answer(c.packets.open(other.packet(to: c, 1_001)[...], now: 1_001)) != nil)
    }

    @Test("greetings are answered so many a second")
    func flood() {
        let b = End(2)
        var answered = 0
        for number in 0..<3_000 {
            var stranger = SealedPackets([ToyKey(id: 1)], life: PacketEnvelope.bytes(UInt64(number), 16), epoch: 1, now: 1_000)
            if answer(b.packets.open(stranger.seal([1], to: b.address, now: 1_000)[...], now: 1_000)) != nil { answered += 1 }
        }
        #expect(answered == 200)
    }

    @Test("stamps: each once, in any order within the window, none below it")
    func window() {
        var random = GossipRandom(seed: 5)
        var window = StampWindow()
        var taken: Set<UInt64> = []
        for turn in 0..<20_000 {
            let stamp = UInt64(turn) + UInt64.random(in: 0..<100, using: &random)
            guard window.take(stamp) else { continue }
            let isFirst = taken.insert(stamp).inserted
            #expect(isFirst)
        }
        #expect(taken.count > 8_000)
        let again = taken.filter { window.take($0) }
        #expect(again.isEmpty)
    }
}
