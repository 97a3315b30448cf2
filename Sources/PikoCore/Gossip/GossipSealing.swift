// SPDX-License-Identifier: MIT
// What sealed gossip needs of cryptography, as doors: a key that the nodes share, and ciphers derived from it. PikoControl fills them with
// OpenSSL's, tests with something simpler. Nothing here is secret or random by itself.

/// A key that the nodes of a cluster share.
public protocol GossipSharedKey {
    /// Names the key on the wire; tells nothing of it.
    var id: UInt32 { get }
    /// A cipher for one purpose. Another salt or purpose makes one that has nothing to do with this.
    func cipher(salt: [UInt8], purpose: String) -> any GossipCipher
}

/// Encrypts and authenticates. A nonce serves once in the life of a cipher.
public protocol GossipCipher: AnyObject {
    /// The text encrypted, and a tag of `GossipEnvelope.tagSize` bytes. `head` is authenticated too.
    func seal(_ text: ArraySlice<UInt8>, nonce: UInt64, head: ArraySlice<UInt8>) -> [UInt8]
    /// nil when it was not sealed so.
    func open(_ sealed: ArraySlice<UInt8>, nonce: UInt64, head: ArraySlice<UInt8>) -> [UInt8]?
}

/// Why something that came on the gossip port was not taken; a peer's doing, for a counter and a line.
public enum GossipRejection: String, CaseIterable, Sendable {
    /// No message of gossip.
    case malformed
    /// Not sealed, where all is.
    case unsealed
    /// Sealed, where nothing is.
    case sealed
    /// Sealed with a key that this node does not have.
    case unknownKey = "unknown_key"
    /// Not what the key's holders wrote.
    case forged
    /// Written for an earlier life of this node, for another node, or too long ago.
    case stale
    /// It has come before.
    case replayed
    /// Of nobody: no id or address, or ones that are too long.
    case unnamed
    /// In the name of this node itself.
    case ownID = "own_id"
    /// A connection that had begun to say something and ended before that was whole.
    case truncated
    /// A connection on which nothing whole came in time, or whose answer was not read in time.
    case late
    /// More than is kept, or is looked at.
    case bound
}

/// The bytes that sealing puts around and between gossip's.
public enum GossipEnvelope {
    /// The first byte of everything sealed: no kind of message, and no beginning of a MessagePack value.
    public static let mark: UInt8 = 0xC1
    public static let tagSize = 16
    public static let randomSize = 16
    /// What sealing adds to a packet.
    public static let packetSize = PacketEnvelope.headSize + tagSize

    /// What follows the mark.
    enum Kind: UInt8 { case packet = 1, call, answer }

    public static func isSealed(_ bytes: ArraySlice<UInt8>) -> Bool { bytes.first == mark }
}

/// The head of a sealed packet: mark, kind, key id, the sender's life, its stamp and the echo of a stamp of the receiver's; big endian.
struct PacketEnvelope: Equatable {
    static let headSize = 38

    var keyID: UInt32
    /// Random, of one life of the sender; the salt of its cipher.
    var life: [UInt8]
    /// Of the sender's own clock, above all it has sent: the nonce.
    var stamp: UInt64
    /// The latest stamp that the sender had from the receiver; 0: it knows none.
    var echo: UInt64

    var head: [UInt8] {
        [GossipEnvelope.mark, GossipEnvelope.Kind.packet.rawValue] + Self.bytes(UInt64(keyID), 4) + life + Self.bytes(stamp, 8) + Self.bytes(echo, 8)
    }

    /// nil for what is no sealed packet.
    static func read(_ packet: ArraySlice<UInt8>) -> PacketEnvelope? {
        guard packet.count >= headSize + GossipEnvelope.tagSize else { return nil }
        let at = packet.startIndex
        guard packet[at] == GossipEnvelope.mark, packet[at + 1] == GossipEnvelope.Kind.packet.rawValue else { return nil }
        return PacketEnvelope(
            keyID: UInt32(number(packet[(at + 2)..<(at + 6)])), life: Array(packet[(at + 6)..<(at + 22)]),
            stamp: number(packet[(at + 22)..<(at + 30)]), echo: number(packet[(at + 30)..<(at + 38)]))
    }

    static func bytes(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
    }

    static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
}
