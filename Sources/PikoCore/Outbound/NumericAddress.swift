// SPDX-License-Identifier: MIT
// Numeric addresses of IPv4 and IPv6 as bytes, and blocks of them (CIDR, RFC 4632). Pure.
// For rules about addresses; the engine has its own for sockets.

/// 4 or 16 bytes. An IPv4 address mapped into IPv6 is read as the IPv4 address.
struct NumericAddress: Hashable {
    let bytes: [UInt8]

    /// nil for anything else than a numeric address; no brackets, no zone.
    init?(_ text: some StringProtocol) {
        let text = String(text)
        guard let bytes = Self.version4(text) ?? Self.version6(text) else { return nil }
        let isMapped = bytes.count == 16 && bytes.prefix(12).elementsEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF])
        self.bytes = isMapped ? Array(bytes.suffix(4)) : bytes
    }

    var isLoopback: Bool { bytes.count == 4 ? bytes[0] == 127 : bytes == [UInt8](repeating: 0, count: 15) + [1] }

    private static func version4(_ text: String) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4, parts.allSatisfy({ (1...3).contains($0.utf8.count) && $0.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } }) else {
            return nil
        }
        let bytes = parts.compactMap { UInt8($0) }
        return bytes.count == 4 ? bytes : nil
    }

    private static func version6(_ text: String) -> [UInt8]? {
        var halves: [[UInt8]] = []
        var rest = text[...]
        // At most one "::".
        if let gap = text.indices.first(where: { text[$0...].hasPrefix("::") }) {
            guard let front = groups(text[..<gap]) else { return nil }
            halves.append(front)
            rest = text[text.index(gap, offsetBy: 2)...]
        }
        guard let back = groups(rest) else { return nil }
        halves.append(back)
        let count = halves.reduce(0) { $0 + $1.count }
        if halves.count == 1 { return count == 16 ? back : nil }
        return count <= 14 ? halves[0] + [UInt8](repeating: 0, count: 16 - count) + back : nil
    }

    private static func groups(_ text: Substring) -> [UInt8]? {
        guard !text.isEmpty else { return [] }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        var bytes: [UInt8] = []
        for (index, part) in parts.enumerated() {
            if index == parts.count - 1, let last = version4(String(part)) {
                bytes += last
                continue
            }
            guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
                let group = UInt16(part, radix: 16)
            else { return nil }
            bytes += [UInt8(group >> 8), UInt8(group & 0xFF)]
        }
        return bytes
    }
}

/// All addresses with the same first bits.
struct AddressBlock: Equatable {
    let address: NumericAddress
    let length: Int

    /// Reads "10.0.0.0/8". nil for anything else.
    init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = NumericAddress(parts[0]), let length = Int(parts[1]), parts[1].utf8.first != UInt8(ascii: "+"),
            (0...(8 * address.bytes.count)).contains(length)
        else { return nil }
        self.address = address
        self.length = length
    }

    func contains(_ other: NumericAddress) -> Bool {
        guard other.bytes.count == address.bytes.count else { return false }
        let whole = length / 8
        guard other.bytes.prefix(whole).elementsEqual(address.bytes.prefix(whole)) else { return false }
        let rest = length % 8
        return rest == 0 || (other.bytes[whole] ^ address.bytes[whole]) >> UInt8(8 - rest) == 0
    }
}
