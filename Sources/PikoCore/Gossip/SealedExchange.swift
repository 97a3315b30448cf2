// SPDX-License-Identifier: MIT
// One question and answer by TCP under a shared key, one end of it. A value without sockets; confined to the control loop. Each end greets with
// fresh random bytes; the ciphers of both directions come from both greetings, so that nothing of another connection, of the other
// direction or of another place in the message opens. Messages go in numbered pieces, the last of which says so.

/// One end of a sealed exchange.
public struct SealedExchange {
    /// What to do, in order.
    public enum Step: Equatable {
        case send([UInt8])
        /// More of the other end's message, authentic. The last piece may be empty.
        case text([UInt8], isLast: Bool)
        /// Ends the connection.
        case refused(GossipRejection)
    }

    /// Bytes of a piece of a message.
    static let piece = 16 << 10
    static let greetingSize = 6 + GossipEnvelope.randomSize
    private static let last: UInt64 = 1 << 31

    private enum Stage { case greeting, text, over }

    /// One direction.
    private struct Direction {
        let cipher: any GossipCipher
        var number: UInt64 = 0
    }

    private let keys: [any GossipSharedKey]
    private let greeting: [UInt8]
    private let kind: GossipEnvelope.Kind
    /// Of the one who asks, until the other end has greeted.
    private var question: [UInt8]?
    private var stage = Stage.greeting
    private var unread: [UInt8] = []
    private var inbound: Direction?
    private var outbound: Direction?

    /// Asks.
    /// - Parameters:
    ///   - keys: the first seals, any opens. Not empty.
    ///   - random: `GossipEnvelope.randomSize` fresh random bytes.
    public init(asking question: [UInt8], keys: [any GossipSharedKey], random: [UInt8]) {
        self.init(.call, keys, random)
        self.question = question
    }

    /// Answers.
    public init(answeringWith keys: [any GossipSharedKey], random: [UInt8]) { self.init(.answer, keys, random) }

    private init(_ kind: GossipEnvelope.Kind, _ keys: [any GossipSharedKey], _ random: [UInt8]) {
        precondition(!keys.isEmpty && random.count == GossipEnvelope.randomSize)
        self.kind = kind
        self.keys = keys
        greeting = [GossipEnvelope.mark, kind.rawValue] + PacketEnvelope.bytes(UInt64(keys[0].id), 4) + random
    }

    /// What the one who asks sends at once; nothing at the other end.
    public var opening: [UInt8] { kind == .call ? greeting : [] }

    /// Bytes came, in pieces of any size.
    public mutating func receive(_ bytes: some Sequence<UInt8>) -> [Step] {
        guard stage != .over else { return [] }
        unread += bytes
        var steps: [Step] = []
        if stage == .greeting { readGreeting(&steps) }
        while stage == .text, readPiece(&steps) {}
        return steps
    }

    /// The answer, sealed, once the question has been read.
    public mutating func answer(_ message: [UInt8]) -> [UInt8] { seal(message) }

    // MARK: Greetings

    private mutating func readGreeting(_ steps: inout [Step]) {
        let wanted: GossipEnvelope.Kind = kind == .call ? .answer : .call
        if let first = unread.first, first != GossipEnvelope.mark { return refuse(.unsealed, &steps) }
        if unread.count > 1, unread[1] != wanted.rawValue { return refuse(.malformed, &steps) }
        guard unread.count >= Self.greetingSize else { return }
        let other = Array(unread.prefix(Self.greetingSize))
        unread.removeFirst(Self.greetingSize)
        let id = UInt32(PacketEnvelope.number(other[2..<6]))
        guard let key = keys.first(where: { $0.id == id }) else { return refuse(.unknownKey, &steps) }
        begin(with: key, other)
        if let asked = question { steps.append(.send(seal(asked))) } else { steps.append(.send(greeting)) }
        question = nil
        stage = .text
    }

    private mutating func begin(with key: any GossipSharedKey, _ other: [UInt8]) {
        let salt = kind == .call ? greeting + other : other + greeting
        let purposes = ["piko gossip question", "piko gossip answer"]
        let (out, into) = kind == .call ? (purposes[0], purposes[1]) : (purposes[1], purposes[0])
        outbound = Direction(cipher: keys[0].cipher(salt: salt, purpose: out))
        inbound = Direction(cipher: key.cipher(salt: salt, purpose: into))
    }

    private mutating func refuse(_ reason: GossipRejection, _ steps: inout [Step]) {
        stage = .over
        unread = []
        steps.append(.refused(reason))
    }

    // MARK: Pieces

    private mutating func seal(_ message: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        var rest = message[...]
        repeat {
            let text = rest.prefix(Self.piece)
            rest = rest.dropFirst(Self.piece)
            let head = PacketEnvelope.bytes(UInt64(text.count) | (rest.isEmpty ? Self.last : 0), 4)
            out += head
            out += outbound?.cipher.seal(text, nonce: outbound?.number ?? 0, head: head[...]) ?? []
            outbound?.number += 1
        } while !rest.isEmpty
        return out
    }

    /// False when there is no whole piece.
    private mutating func readPiece(_ steps: inout [Step]) -> Bool {
        guard unread.count >= 4, let direction = inbound else { return false }
        let size = PacketEnvelope.number(unread[0..<4])
        let count = Int(size & ~Self.last)
        guard count <= Self.piece else {
            refuse(.malformed, &steps)
            return false
        }
        let end = 4 + count + GossipEnvelope.tagSize
        guard unread.count >= end else { return false }
        guard let text = direction.cipher.open(unread[4..<end], nonce: direction.number, head: unread[..<4]) else {
            refuse(.forged, &steps)
            return false
        }
        inbound?.number += 1
        unread.removeFirst(end)
        let isLast = size & Self.last != 0
        if isLast { stage = .over }
        steps.append(.text(text, isLast: isLast))
        return !isLast
    }
}
