// SPDX-License-Identifier: MIT
// Sealed questions and answers, both ends in memory: every split, and everything that somebody between them may try.
// No sockets.

import Testing

@testable import PikoCore

@Suite struct SealedExchangeTests {
    private let question = (0..<40_000).map { UInt8(truncatingIfNeeded: $0) }
    private let reply = (0..<70_001).map { UInt8(truncatingIfNeeded: $0 / 3) }

    private func caller(_ text: [UInt8], keys: [UInt32] = [1], random: UInt8 = 1) -> SealedExchange {
        SealedExchange(asking: text, keys: keys.map { ToyKey(id: $0) }, random: [UInt8](repeating: random, count: 16))
    }

    private func answerer(keys: [UInt32] = [1], random: UInt8 = 2) -> SealedExchange {
        SealedExchange(answeringWith: keys.map { ToyKey(id: $0) }, random: [UInt8](repeating: random, count: 16))
    }

    /// What one end makes of bytes that come in pieces.
    private struct Heard {
        var sent: [UInt8] = []
        var text: [UInt8] = []
        var isWhole = false
        var refused: GossipRejection?

        mutating func hear(_ end: inout SealedExchange, _ bytes: [UInt8], piece: Int) {
            for start in stride(from: 0, to: bytes.count, by: piece) {
                for step in end.receive(bytes[start..<min(start + piece, bytes.count)]) {
                    switch step {
                    case .send(let bytes): sent += bytes
                    case .text(let more, let isLast):
                        text += more
                        isWhole = isLast
                    case .refused(let reason): refused = reason
                    }
                }
            }
        }
    }

    @Test("question and answer arrive whole, however the bytes are split", arguments: [1, 3, 7, 26, 1_000, 1 << 20])
    func splits(piece: Int) {
        let texts = piece < 7 ? (Array(question.prefix(300)), Array(reply.prefix(20))) : (question, reply)
        for (asked, answered) in [texts, ([1], []), ([], [1])] {
            var (one, other) = (caller(asked), answerer())
            var (atOne, atOther) = (Heard(), Heard())
            atOther.hear(&other, one.opening, piece: piece)
            #expect(atOther.sent.count == SealedExchange.greetingSize && other.opening.isEmpty)
            atOne.hear(&one, atOther.sent, piece: piece)
            atOther.hear(&other, atOne.sent, piece: piece)
            #expect(atOther.text == asked && atOther.isWhole && atOther.refused == nil)
            atOne.hear(&one, other.answer(answered), piece: piece)
            #expect(atOne.text == answered && atOne.isWhole && atOne.refused == nil)
        }
    }

    /// What the two say: greeting, greeting, question, answer.
    private func conversation(_ one: inout SealedExchange, _ other: inout SealedExchange) -> [[UInt8]] {
        var (atOne, atOther) = (Heard(), Heard())
        atOther.hear(&other, one.opening, piece: 1 << 20)
        atOne.hear(&one, atOther.sent, piece: 1 << 20)
        let asked = atOne.sent
        let greeting = atOther.sent
        atOther.hear(&other, asked, piece: 1 << 20)
        return [one.opening, greeting, asked, other.answer(reply)]
    }

    @Test("a recorded question to another connection, and a recorded answer to another question, do not open")
    func replay() {
        var (one, other) = (caller(question), answerer())
        let recorded = conversation(&one, &other)
        var again = answerer(random: 3)
        var heard = Heard()
        heard.hear(&again, recorded[0] + recorded[2], piece: 4_096)
        #expect(heard.refused == .forged && heard.text.isEmpty)
        var asking = caller(question, random: 4)
        heard = Heard()
        heard.hear(&asking, recorded[1] + recorded[3], piece: 4_096)
        #expect(heard.refused == .forged && heard.text.isEmpty)
    }

    @Test("what one end says does not open at that end")
    func reflection() {
        var (one, other) = (caller(question), answerer())
        let recorded = conversation(&one, &other)
        var reflected = caller(question)
        var heard = Heard()
        heard.hear(&reflected, recorded[0], piece: 100)
        #expect(heard.refused == .malformed, "a greeting is of one side")
        heard = Heard()
        heard.hear(&one, recorded[2], piece: 100)
        #expect(heard.refused == .forged && heard.text.isEmpty)
    }

    @Test("pieces that are left out, doubled, exchanged or cut off are noticed")
    func splicing() throws {
        let size = 4 + SealedExchange.piece + GossipEnvelope.tagSize
        var (one, other) = (caller(question), answerer())
        let sealed = conversation(&one, &other)[2]
        let pieces = stride(from: 0, to: sealed.count, by: size).map { Array(sealed[$0..<min($0 + size, sealed.count)]) }
        try #require(pieces.count == 3)
        let orders = [[1, 2], [0, 2], [0, 0, 1, 2], [0, 2, 1], [2]]
        for order in orders {
            var fresh = answerer()
            var heard = Heard()
            heard.hear(&fresh, one.opening + order.flatMap { pieces[$0] }, piece: 5_000)
            #expect(heard.refused == .forged && !heard.isWhole, "\(order)")
        }
        var cut = answerer()
        var heard = Heard()
        heard.hear(&cut, one.opening + pieces[0] + pieces[1], piece: 5_000)
        #expect(heard.refused == nil && !heard.isWhole)
        var marked = pieces[0]
        marked[0] |= 0x80
        heard = Heard()
        var last = answerer()
        heard.hear(&last, one.opening + marked, piece: 5_000)
        #expect(heard.refused == .forged, "not the last")
    }

    @Test("each bit counts, a piece has a bound, and what is not sealed is known by its first byte")
    func refused() throws {
        var (one, other) = (caller([1, 2, 3]), answerer())
        let recorded = conversation(&one, &other)
        let said = recorded[0] + recorded[2]
        for bit in 0..<(8 * said.count) {
            var wrong = said
            wrong[bit / 8] ^= 1 << UInt8(bit % 8)
            var fresh = answerer()
            var heard = Heard()
            heard.hear(&fresh, wrong, piece: 7)
            #expect(!heard.isWhole, "bit \(bit)")
        }
        var fresh = answerer()
        var heard = Heard()
        heard.hear(&fresh, one.opening + [0, 0, 0x40, 1], piece: 1)
        #expect(heard.refused == .malformed)
        for plain in [[3], [0x82], Array("GET".utf8)] as [[UInt8]] {
            var fresh = answerer()
            var heard = Heard()
            heard.hear(&fresh, plain, piece: 1)
            #expect(heard.refused == .unsealed)
        }
    }

    @Test("each end seals with its first key and opens with any; a key that one end lacks is refused there")
    func keys() {
        var (one, other) = (caller(question, keys: [1, 2]), answerer(keys: [2, 1]))
        var heard = Heard()
        heard.hear(&one, conversation(&one, &other)[3], piece: 9_999)
        #expect(heard.text == reply && heard.isWhole)
        for (mine, theirs) in [([3], [1]), ([1], [2, 1])] as [([UInt32], [UInt32])] {
            var (one, other) = (caller(question, keys: mine), answerer(keys: theirs))
            var (atOne, atOther) = (Heard(), Heard())
            atOther.hear(&other, one.opening, piece: 5)
            atOne.hear(&one, atOther.sent, piece: 5)
            #expect((atOther.refused ?? atOne.refused) == .unknownKey && atOne.sent.isEmpty)
        }
    }
}
