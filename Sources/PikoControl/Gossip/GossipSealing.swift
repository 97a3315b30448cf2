// SPDX-License-Identifier: MIT
// The keys of a node's gossip: the configured secrets as keys that PikoCore's sealing uses, by OpenSSL, and fresh randomness for each life and
// connection. Control loop only. What is sealed and what opens is decided in PikoCore/Gossip.

import PikoCore
import PikoEngine

/// The keys that the nodes share, the first of which seals.
struct GossipSealing {
    let keys: [any GossipSharedKey]

    /// nil without secrets.
    init?(_ secrets: [GossipSecret]) {
        guard !secrets.isEmpty else { return nil }
        keys = secrets.map { SharedKey($0) }
    }

    /// For the life of a node that begins.
    func packets(now: UInt64) -> SealedPackets {
        var system = SystemRandomNumberGenerator()
        return SealedPackets(keys, life: Self.random(), epoch: system.next(), now: now)
    }

    func exchange(asking question: [UInt8]) -> SealedExchange { SealedExchange(asking: question, keys: keys, random: Self.random()) }

    func exchangeToAnswer() -> SealedExchange { SealedExchange(answeringWith: keys, random: Self.random()) }

    private static func random() -> [UInt8] {
        var system = SystemRandomNumberGenerator()
        return (0..<GossipEnvelope.randomSize).map { _ in .random(in: .min ... .max, using: &system) }
    }
}

/// A configured secret.
private struct SharedKey: GossipSharedKey {
    let secret: GossipSecret
    let id: UInt32

    init(_ secret: GossipSecret) {
        self.secret = secret
        id = SealingKey.derive(secret.bytes, [], "piko gossip key id", count: 4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    func cipher(salt: [UInt8], purpose: String) -> any GossipCipher {
        Cipher(key: SealingKey(secret: secret.bytes, salt: salt, purpose: purpose))
    }
}

private final class Cipher: GossipCipher {
    private let key: SealingKey

    init(key: SealingKey) { self.key = key }

    func seal(_ text: ArraySlice<UInt8>, nonce: UInt64, head: ArraySlice<UInt8>) -> [UInt8] { key.seal(text, nonce: nonce, head: head) }

    func open(_ sealed: ArraySlice<UInt8>, nonce: UInt64, head: ArraySlice<UInt8>) -> [UInt8]? { key.open(sealed, nonce: nonce, head: head) }
}
