// SPDX-License-Identifier: MIT
// A shared key and cipher for the tests of sealed gossip: keeps no secret from anybody, but opens only what was sealed with the same key, salt,
// purpose, nonce and head. The real one has its tests in PikoEngineTests and Tests/EngineC.

@testable import PikoCore

struct ToyKey: GossipSharedKey {
    let id: UInt32

    func cipher(salt: [UInt8], purpose: String) -> any GossipCipher {
        ToyCipher(PacketEnvelope.bytes(UInt64(id), 8) + salt + [0] + Array(purpose.utf8))
    }
}

final class ToyCipher: GossipCipher {
    private let key: [UInt8]
    private var nonces: Set<UInt64> = []

    init(_ key: [UInt8]) { self.key = key }

    private func hash(_ parts: [ArraySlice<UInt8>]) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for part in parts {
            for byte in part { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
            hash = (hash ^ UInt64(part.count)) &* 0x100_0000_01B3
        }
        return hash
    }

    private func mixed(_ text: ArraySlice<UInt8>, _ nonce: UInt64) -> [UInt8] {
        var stream = GossipRandom(seed: hash([key[...], PacketEnvelope.bytes(nonce, 8)[...]]))
        return text.map { $0 ^ UInt8(truncatingIfNeeded: stream.next()) }
    }

    private func tag(_ sealed: ArraySlice<UInt8>, _ nonce: UInt64, _ head: ArraySlice<UInt8>) -> [UInt8] {
        let parts = [key[...], PacketEnvelope.bytes(nonce, 8)[...], head, sealed]
        return PacketEnvelope.bytes(hash(parts), 8) + PacketEnvelope.bytes(hash(parts.reversed()), 8)
    }

    func seal(_ text: ArraySlice<UInt8>, nonce: UInt64, head: ArraySlice<UInt8>) -> [UInt8] {
        precondition(nonces.insert(nonce).inserted, "a nonce serves once")
        let sealed = mixed(text, nonce)
        return sealed + tag(sealed[...], nonce, head)
    }

    func open(_ sealed: ArraySlice<UInt8>, nonce: UInt64, head: ArraySlice<UInt8>) -> [UInt8]? {
        guard sealed.count >= GossipEnvelope.tagSize else { return nil }
        let text = sealed.dropLast(GossipEnvelope.tagSize)
        return tag(text, nonce, head) == Array(sealed.suffix(GossipEnvelope.tagSize)) ? mixed(text, nonce) : nil
    }
}
