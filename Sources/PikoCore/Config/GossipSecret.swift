// SPDX-License-Identifier: MIT
// A secret of `cluster.gossip.keys` as a user writes it: 32 bytes in hex or base64.
// A plain value. Its description shows nothing of it.

/// A secret that the nodes of a cluster share.
public struct GossipSecret: Hashable, Sendable, CustomStringConvertible {
    public static let size = 32
    /// `size` bytes.
    public let bytes: [UInt8]

    /// Reads 64 hex digits, or base64 (RFC 4648 4) with or without padding. nil for anything else.
    public init?(_ text: some StringProtocol) {
        let text = Array(text.utf8)
        guard let bytes = text.count == 2 * Self.size ? Self.hex(text) : Self.base64(text), bytes.count == Self.size else { return nil }
        self.bytes = bytes
    }

    public var description: String { "[secret]" }

    /// Reads back as the secret.
    var text: String { bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() }

    private static func hex(_ text: [UInt8]) -> [UInt8]? {
        let digits = text.compactMap { byte in
            switch byte {
            case 0x30...0x39: byte - 0x30
            case 0x41...0x46: byte - 0x41 + 10
            case 0x61...0x66: byte - 0x61 + 10
            default: nil
            }
        }
        guard digits.count == text.count else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    private static func base64(_ text: [UInt8]) -> [UInt8]? {
        let padding = text.reversed().prefix { $0 == UInt8(ascii: "=") }.count
        guard padding == 0 || text.count % 4 == 0, padding <= 2 else { return nil }
        var out: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for byte in text.dropLast(padding) {
            guard let value = sextet(byte) else { return nil }
            bits = bits << 6 | value
            count += 6
            if count >= 8 {
                count -= 8
                out.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return bits & ((1 << UInt32(count)) - 1) == 0 ? out : nil
    }

    private static func sextet(_ byte: UInt8) -> UInt32? {
        switch byte {
        case 0x41...0x5A: UInt32(byte - 0x41)
        case 0x61...0x7A: UInt32(byte - 0x61 + 26)
        case 0x30...0x39: UInt32(byte - 0x30 + 52)
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
