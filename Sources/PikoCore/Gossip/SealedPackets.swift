// SPDX-License-Identifier: MIT
// Gossip packets under a shared key: sealed on their way out, opened and judged on their way in. A value without sockets, clock and randomness;
// confined to the control loop. A packet carries its sender's stamp and the echo of a stamp of its receiver, as TCP's timestamps do
// (RFC 7323 3): an echo of the last ten seconds proves that the packet was written now and for this life of this node, whatever the clocks
// say, and each stamp is taken once. Who has no echo to give sends a greeting, which is answered once, and its message on the answer.

/// Seals and opens the packets of one node.
public struct SealedPackets {
    enum Limit {
        /// Microseconds that an echo is good for.
        static let age: UInt64 = 10_000_000
        /// Milliseconds after which a stamp of another node is not echoed any more: it would be too old on arrival.
        static let echo: UInt64 = 5_000
        /// Milliseconds after which nothing that a sender wrote would be taken again, so that nothing needs to be known of it.
        static let memory: UInt64 = 2 * age / 1000
        /// Milliseconds after its last word in which no other node's answer takes a node's place: answers can be led astray.
        static let loyalty: UInt64 = 1_000
        static let senders = 4096
        /// Lives of which it is known what was answered. When there are more, all are forgotten.
        static let answered = 4096
        static let addresses = 4096
        static let sent = 4096
        /// Greetings answered in a second, and as many other packets, which whoever leads packets astray has at hand.
        static let answers = 1_000.0
    }

    /// What came of a packet.
    public enum Opened {
        case message(GossipMessage)
        /// Send this back to where the packet came from: to a greeting, or to a packet that may be old.
        case answer([UInt8], isGreeting: Bool)
        /// The answer to a greeting: send what was held back.
        case held([UInt8], to: String)
        case nothing
        case rejected(GossipRejection)
    }

    private struct Sender {
        var window = StampWindow()
        /// Milliseconds: when something of it was taken last.
        var heard: UInt64
        /// By the id of the key.
        var ciphers: [UInt32: any GossipCipher] = [:]
    }

    private struct Place {
        /// Who answers there.
        var life: [UInt8]?
        var held: [UInt8]?
    }

    private static let purpose = "piko gossip packet"

    private var keys: [any GossipSharedKey]
    private var own: any GossipCipher
    private let life: [UInt8]
    /// What the stamps of this life begin at.
    private let epoch: UInt64
    private var latest: UInt64
    private var senders: [[UInt8]: Sender] = [:]
    private var places: [String: Place] = [:]
    /// What was sent with which stamp, and where to; the oldest is overwritten.
    private var sent: [(stamp: UInt64, address: String)] = []
    private var nextSent = 0
    private var greetingAnswers: TokenBucket
    private var otherAnswers: TokenBucket
    /// By the sender's life: the stamps of what was answered and not taken, which is answered once.
    private var answered: [[UInt8]: StampWindow] = [:]

    /// - Parameters:
    ///   - keys: the first seals, any opens. Not empty.
    ///   - life: `GossipEnvelope.randomSize` random bytes.
    ///   - epoch: random, so that no stamp of another life or another node passes for one of this.
    ///   - now: milliseconds of a clock that never goes back.
    public init(_ keys: [any GossipSharedKey], life: [UInt8], epoch: UInt64, now: UInt64) {
        precondition(!keys.isEmpty && life.count == GossipEnvelope.randomSize)
        self.keys = keys
        self.life = life
        // Half of the numbers are left for the time to come.
        self.epoch = epoch >> 1 | 1 << 32
        latest = self.epoch &+ now &* 1000
        own = keys[0].cipher(salt: life, purpose: Self.purpose)
        greetingAnswers = TokenBucket(rate: Limit.answers, most: 200, now: now)
        otherAnswers = greetingAnswers
    }

    /// Other keys from now on. Not empty.
    public mutating func use(_ keys: [any GossipSharedKey]) {
        precondition(!keys.isEmpty)
        self.keys = keys
        own = keys[0].cipher(salt: life, purpose: Self.purpose)
        for sender in senders.keys { senders[sender]?.ciphers = [:] }
    }

    // MARK: Out

    /// The packet to send to an address now: the message sealed, or a greeting in its place.
    public mutating func seal(_ message: [UInt8], to address: String, now: UInt64) -> [UInt8] {
        if let life = places[address]?.life, let sender = senders[life], now - min(sender.heard, now) <= Limit.echo {
            return packet(message[...], echo: sender.window.latest, to: address, now)
        }
        if places.count >= Limit.addresses, places[address] == nil { places.removeAll() }
        places[address, default: Place()].held = message
        return packet([], echo: 0, to: address, now)
    }

    private mutating func packet(_ text: ArraySlice<UInt8>, echo: UInt64, to address: String?, _ now: UInt64) -> [UInt8] {
        latest = max(latest + 1, clock(now))
        if let address { remember(latest, address) }
        let head = PacketEnvelope(keyID: keys[0].id, life: life, stamp: latest, echo: echo).head
        return head + own.seal(text, nonce: latest, head: head[...])
    }

    private func clock(_ now: UInt64) -> UInt64 { epoch &+ now &* 1000 }

    private mutating func remember(_ stamp: UInt64, _ address: String) {
        if sent.count < Limit.sent { return sent.append((stamp, address)) }
        sent[nextSent] = (stamp, address)
        nextSent = (nextSent + 1) % Limit.sent
    }

    // MARK: In

    /// Opens a packet and judges it. Changes nothing for one that was not written now, for this node, by a holder of a key.
    public mutating func open(_ packet: ArraySlice<UInt8>, now: UInt64) -> Opened {
        guard let envelope = PacketEnvelope.read(packet) else {
            return .rejected(GossipEnvelope.isSealed(packet) ? .malformed : .unsealed)
        }
        guard envelope.life != life else { return envelope.echo == 0 ? .nothing : .rejected(.stale) }
        guard let key = keys.first(where: { $0.id == envelope.keyID }) else { return .rejected(.unknownKey) }
        let cipher = senders[envelope.life]?.ciphers[key.id] ?? key.cipher(salt: envelope.life, purpose: Self.purpose)
        let head = packet.prefix(PacketEnvelope.headSize)
        guard let text = cipher.open(packet.dropFirst(PacketEnvelope.headSize), nonce: envelope.stamp, head: head) else {
            return .rejected(.forged)
        }
        guard isFresh(envelope.echo, now) else { return unproven(envelope, isEmpty: text.isEmpty, now) }
        guard makeRoom(envelope.life, now) else { return .rejected(.bound) }
        guard senders[envelope.life, default: Sender(heard: now)].window.take(envelope.stamp) else { return .rejected(.replayed) }
        senders[envelope.life]?.heard = now
        senders[envelope.life]?.ciphers[key.id] = cipher
        return take(text, envelope, now)
    }

    /// A stamp of this life, of the last ten seconds.
    private func isFresh(_ echo: UInt64, _ now: UInt64) -> Bool {
        let clock = max(latest, clock(now))
        return echo >= epoch && echo <= latest && clock - echo <= Limit.age
    }

    /// A greeting, or a packet that may be old: its sender is told a stamp to echo. An answer is never answered, and nothing is answered twice:
    /// what somebody has recorded must not take the answers of those that begin now.
    private mutating func unproven(_ envelope: PacketEnvelope, isEmpty: Bool, _ now: UInt64) -> Opened {
        let isGreeting = isEmpty && envelope.echo == 0
        guard isGreeting || !isEmpty else { return .rejected(.stale) }
        if answered.count >= Limit.answered, answered[envelope.life] == nil { answered.removeAll() }
        guard answered[envelope.life, default: StampWindow()].take(envelope.stamp) else { return .rejected(.replayed) }
        guard isGreeting ? greetingAnswers.take(now) : otherAnswers.take(now) else { return .rejected(.bound) }
        return .answer(packet([], echo: envelope.stamp, to: nil, now), isGreeting: isGreeting)
    }

    private mutating func makeRoom(_ life: [UInt8], _ now: UInt64) -> Bool {
        guard senders[life] == nil, senders.count >= Limit.senders else { return true }
        senders = senders.filter { now - min($0.value.heard, now) <= Limit.memory }
        return senders.count < Limit.senders
    }

    private mutating func take(_ text: [UInt8], _ envelope: PacketEnvelope, _ now: UInt64) -> Opened {
        guard !text.isEmpty else { return answered(envelope, now) }
        guard let message = try? GossipMessage.read(text[...]), let address = message.packetSender?.address else {
            return .rejected(.malformed)
        }
        if places.count >= Limit.addresses, places[address] == nil { places.removeAll() }
        places[address, default: Place()].life = envelope.life
        return .message(message)
    }

    /// Somebody echoes a stamp: who it is, is at the address that the stamp was sent to.
    private mutating func answered(_ envelope: PacketEnvelope, _ now: UInt64) -> Opened {
        guard let asked = sent.firstIndex(where: { $0.stamp == envelope.echo }) else { return .nothing }
        let address = sent[asked].address
        sent[asked].stamp = 0
        if let known = places[address]?.life, known != envelope.life, let sender = senders[known], now - min(sender.heard, now) < Limit.loyalty {
            return .nothing
        }
        places[address, default: Place()].life = envelope.life
        guard let held = places[address]?.held else { return .nothing }
        places[address]?.held = nil
        return .held(packet(held[...], echo: envelope.stamp, to: address, now), to: address)
    }
}

extension GossipMessage {
    /// Who wrote a digest or delta.
    fileprivate var packetSender: GossipPeer? {
        switch self {
        case .digest(let peer, _, _), .delta(let peer, _): peer
        case .join, .leave: nil
        }
    }
}
