// SPDX-License-Identifier: MIT
// The part of MessagePack that gossip uses: maps and lists, the old raw strings, unsigned integers in their shortest form, booleans, nil.
// Pure; any thread. Reading is safe on arbitrary bytes and bounded in depth; nothing here knows gossip.

/// Appends MessagePack values to a list of bytes.
struct MessagePackWriter {
    private(set) var bytes: [UInt8] = []

    mutating func append(byte: UInt8) { bytes.append(byte) }

    mutating func append(_ value: Bool) { bytes.append(value ? 0xC3 : 0xC2) }

    mutating func appendNil() { bytes.append(0xC0) }

    /// The shortest form.
    mutating func append(_ value: UInt64) {
        switch value {
        case 0..<0x80: bytes.append(UInt8(value))
        case 0..<0x100: append(0xCC, value, bytes: 1)
        case 0..<0x1_0000: append(0xCD, value, bytes: 2)
        case 0..<0x1_0000_0000: append(0xCE, value, bytes: 4)
        default: append(0xCF, value, bytes: 8)
        }
    }

    /// fixstr, str16 or str32: the raw family of before str8 was added. At most 4 GiB.
    mutating func append(_ text: String) {
        let count = UInt64(text.utf8.count)
        switch count {
        case 0..<32: bytes.append(0xA0 | UInt8(count))
        case 32..<0x1_0000: append(0xDA, count, bytes: 2)
        default: append(0xDB, count, bytes: 4)
        }
        bytes.append(contentsOf: text.utf8)
    }

    mutating func beginMap(_ count: Int) { begin(count, fixed: 0x80, short: 0xDE, long: 0xDF) }

    mutating func beginList(_ count: Int) { begin(count, fixed: 0x90, short: 0xDC, long: 0xDD) }

    private mutating func begin(_ count: Int, fixed: UInt8, short: UInt8, long: UInt8) {
        switch count {
        case 0..<16: bytes.append(fixed | UInt8(count))
        case 16..<0x1_0000: append(short, UInt64(count), bytes: 2)
        default: append(long, UInt64(count), bytes: 4)
        }
    }

    private mutating func append(_ tag: UInt8, _ value: UInt64, bytes count: Int) {
        bytes.append(tag)
        for shift in stride(from: (count - 1) * 8, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift))) }
    }
}

/// Why bytes are no value, or not the value wanted.
enum MessagePackError: Error {
    case truncated
    case unexpected(UInt8)
    case tooDeep
    /// A value that must say something says nothing.
    case empty
}

/// Reads MessagePack values one after another.
struct MessagePackReader {
    private let bytes: ArraySlice<UInt8>
    private(set) var at: Int

    /// Nested values that are skipped may be so deep.
    private static let mostDepth = 16

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        at = bytes.startIndex
    }

    var isAtEnd: Bool { at == bytes.endIndex }

    /// Bytes left: no list or map can have more values than this.
    var remaining: Int { bytes.endIndex - at }

    mutating func byte() throws(MessagePackError) -> UInt8 {
        guard at < bytes.endIndex else { throw .truncated }
        defer { at += 1 }
        return bytes[at]
    }

    mutating func unsigned() throws(MessagePackError) -> UInt64 {
        let tag = try byte()
        switch tag {
        case 0..<0x80: return UInt64(tag)
        case 0xCC: return try number(1)
        case 0xCD: return try number(2)
        case 0xCE: return try number(4)
        case 0xCF: return try number(8)
        case 0xD0...0xD3: return try positive(tag)
        default: throw .unexpected(tag)
        }
    }

    /// A signed form that holds no negative number.
    private mutating func positive(_ tag: UInt8) throws(MessagePackError) -> UInt64 {
        let size = 1 << Int(tag - 0xD0)
        let value = try number(size)
        guard value >> UInt64(size * 8 - 1) == 0 else { throw .unexpected(tag) }
        return value
    }

    mutating func bool() throws(MessagePackError) -> Bool {
        let tag = try byte()
        guard tag == 0xC2 || tag == 0xC3 else { throw .unexpected(tag) }
        return tag == 0xC3
    }

    /// A string of either family, or binary; invalid UTF-8 is repaired.
    mutating func string() throws(MessagePackError) -> String {
        let tag = try byte()
        guard let size = try blobSize(tag) else { throw .unexpected(tag) }
        return String(decoding: try take(size), as: UTF8.self)
    }

    /// How many pairs follow.
    mutating func map() throws(MessagePackError) -> Int {
        let tag = try byte()
        switch tag {
        case 0x80..<0x90: return Int(tag & 15)
        case 0xDE: return try count(2)
        case 0xDF: return try count(4)
        default: throw .unexpected(tag)
        }
    }

    /// How many values follow; 0 for nil, which stands for an absent list.
    mutating func list() throws(MessagePackError) -> Int {
        let tag = try byte()
        switch tag {
        case 0xC0: return 0
        case 0x90..<0xA0: return Int(tag & 15)
        case 0xDC: return try count(2)
        case 0xDD: return try count(4)
        default: throw .unexpected(tag)
        }
    }

    /// Passes over one value of any kind.
    mutating func skip(depth: Int = 0) throws(MessagePackError) {
        guard depth < Self.mostDepth else { throw .tooDeep }
        let tag = try byte()
        if let size = try blobSize(tag) {
            _ = try take(size)
            return
        }
        switch tag {
        case 0..<0x80, 0xE0...0xFF, 0xC0, 0xC2, 0xC3: return
        case 0xCA, 0xCE, 0xD2: _ = try take(4)
        case 0xCB, 0xCF, 0xD3: _ = try take(8)
        case 0xCC, 0xD0: _ = try take(1)
        case 0xCD, 0xD1: _ = try take(2)
        default: try skipNested(tag, depth)
        }
    }

    private mutating func skipNested(_ tag: UInt8, _ depth: Int) throws(MessagePackError) {
        at -= 1
        let isMap = (0x80..<0x90).contains(tag) || tag == 0xDE || tag == 0xDF
        let values = isMap ? try map() * 2 : try list()
        for _ in 0..<values { try skip(depth: depth + 1) }
    }

    private mutating func blobSize(_ tag: UInt8) throws(MessagePackError) -> Int? {
        switch tag {
        case 0xA0..<0xC0: Int(tag & 31)
        case 0xC4, 0xD9: Int(try number(1))
        case 0xC5, 0xDA: Int(try number(2))
        case 0xC6, 0xDB: Int(try number(4))
        default: nil
        }
    }

    private mutating func count(_ size: Int) throws(MessagePackError) -> Int {
        let count = Int(try number(size))
        guard count <= remaining else { throw .truncated }
        return count
    }

    private mutating func number(_ size: Int) throws(MessagePackError) -> UInt64 {
        try take(size).reduce(0) { $0 << 8 | UInt64($1) }
    }

    private mutating func take(_ size: Int) throws(MessagePackError) -> ArraySlice<UInt8> {
        guard size <= remaining else { throw .truncated }
        defer { at += size }
        return bytes[at..<(at + size)]
    }
}
