// SPDX-License-Identifier: MIT
// Reads comma-separated field values (RFC 9110 5.6.1) element by element, in place. A plain value over borrowed bytes; no
// quoting: the fields read with it (Connection, TE, Transfer-Encoding) have none.

/// The elements of a comma-separated value, without the spaces around them; empty ones included.
struct TokenList {
    private let bytes: UnsafeRawBufferPointer
    private var at = 0
    private var isDone = false

    init(_ value: UnsafeRawBufferPointer) { bytes = value }

    /// The next element, or nil behind the last one. An empty value has one empty element.
    mutating func next() -> UnsafeRawBufferPointer? {
        if isDone { return nil }
        var start = at
        while at < bytes.count, bytes[at] != ByteClass.comma { at &+= 1 }
        var end = at
        isDone = at == bytes.count
        at &+= 1
        while start < end, ByteClass.isOptionalSpace(bytes[start]) { start &+= 1 }
        while end > start, ByteClass.isOptionalSpace(bytes[end &- 1]) { end &-= 1 }
        return UnsafeRawBufferPointer(rebasing: bytes[start..<end])
    }

    static func isToken(_ element: UnsafeRawBufferPointer) -> Bool {
        !element.isEmpty && element.allSatisfy(ByteClass.isToken)
    }

    /// Whether the bytes are this word, given in lower case, letters in either case. The bytes must hold no control byte but tab.
    @inline(__always)
    static func element(_ element: UnsafeRawBufferPointer, is word: StaticString) -> Bool {
        guard element.count == word.utf8CodeUnitCount, let start = element.baseAddress else { return false }
        return ByteClass.spells(start, element.count, word)
    }

    /// Whether two runs of bytes are the same, ASCII letters in either case.
    static func areSame(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
        guard one.count == other.count else { return false }
        for index in 0..<one.count where lower(one[index]) != lower(other[index]) { return false }
        return true
    }

    @inline(__always)
    static func lower(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }
}
