// SPDX-License-Identifier: MIT
// Fuzzes what is around sealed gossip: packets, and the two greetings and pieces of a connection, with a cipher that opens everything, so that
// what lies behind the seal is reached. Holds: nothing traps; a packet is a message at most once, and never one that echoes no stamp of this
// life; a connection's bytes mean the same in every split, and no piece is beyond its bound. Single-threaded.
// fuzz-sources: Sources/PikoCore/Gossip/*.swift Sources/PikoCore/Routing/FoldedNames.swift
// fuzz-seeds: gossip_envelope.hex gossip.hex

private struct OpenKey: GossipSharedKey {
    let id: UInt32
    func cipher(salt: [UInt8], purpose: String) -> any GossipCipher { OpenCipher() }
}

private final class OpenCipher: GossipCipher {
    func seal(_ text: ArraySlice<UInt8>, nonce: UInt64, head: ArraySlice<UInt8>) -> [UInt8] {
        Array(text) + [UInt8](repeating: 0, count: GossipEnvelope.tagSize)
    }

    func open(_ sealed: ArraySlice<UInt8>, nonce: UInt64, head: ArraySlice<UInt8>) -> [UInt8]? {
        sealed.count < GossipEnvelope.tagSize ? nil : Array(sealed.dropLast(GossipEnvelope.tagSize))
    }
}

private let keys = [OpenKey(id: 1), OpenKey(id: 2)]
private let random = [UInt8](repeating: 7, count: GossipEnvelope.randomSize)

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    checkPackets(bytes)
    checkExchange(bytes) { SealedExchange(asking: [1, 2, 3], keys: keys, random: random) }
    checkExchange(bytes) { SealedExchange(answeringWith: keys, random: random) }
    return 0
}

/// The input is packets of a length each, one byte that says so in front.
private func checkPackets(_ bytes: [UInt8]) {
    var node = SealedPackets(keys, life: random, epoch: 0, now: 1_000)
    var now: UInt64 = 1_000
    _ = node.seal([1, 0, 0x80], to: "127.0.0.1:1", now: now)
    var taken: Set<[UInt8]> = []
    var rest = bytes[...]
    while let length = rest.popFirst() {
        let packet = rest.prefix(Int(length))
        rest = rest.dropFirst(Int(length))
        now += UInt64(length & 3) * 4_000
        for _ in 0..<2 {
            guard case .message = node.open(packet, now: now) else { continue }
            precondition(taken.insert(Array(packet.prefix(PacketEnvelope.headSize))).inserted, "a packet that was a message twice")
            precondition(PacketEnvelope.read(packet).map { $0.echo >= 1 << 32 } == true, "a message without an echo")
        }
    }
    let sealed = node.seal([1, 0, 0x80], to: "127.0.0.1:1", now: now)
    precondition(PacketEnvelope.read(sealed[...])?.head == Array(sealed.prefix(PacketEnvelope.headSize)), "a head that does not read back")
}

private func checkExchange(_ bytes: [UInt8], _ make: () -> SealedExchange) {
    var whole = make()
    let wanted = meaning(whole.receive(bytes))
    for piece in [1, 5, 4_000] where piece < bytes.count {
        var end = make()
        var steps: [SealedExchange.Step] = []
        for start in stride(from: 0, to: bytes.count, by: piece) { steps += end.receive(bytes[start..<min(start + piece, bytes.count)]) }
        precondition(meaning(steps) == wanted, "another meaning in pieces of \(piece)")
    }
}

private struct Meaning: Equatable {
    var sent: [UInt8] = []
    var texts: [[UInt8]] = []
    var isWhole = false
    var refused: GossipRejection?
}

private func meaning(_ steps: [SealedExchange.Step]) -> Meaning {
    var meaning = Meaning()
    for step in steps {
        precondition(!meaning.isWhole && meaning.refused == nil, "something after the end")
        switch step {
        case .send(let bytes): meaning.sent += bytes
        case .text(let text, let isLast):
            precondition(text.count <= SealedExchange.piece, "a piece beyond its bound")
            meaning.texts.append(text)
            meaning.isWhole = isLast
        case .refused(let reason): meaning.refused = reason
        }
    }
    return meaning
}
