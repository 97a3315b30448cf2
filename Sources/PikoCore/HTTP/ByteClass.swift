// SPDX-License-Identifier: MIT
// The character classes of HTTP/1 heads and the fast searches over them. Pure functions over borrowed bytes; no state, any
// thread. Nothing here reads outside the range it is given.

/// Character classes of RFC 9110 5.6.2 and RFC 3986 as bitmaps, and searches that look at eight bytes at a time.
enum ByteClass {
    static let tab = UInt8(ascii: "\t")
    static let lineFeed = UInt8(ascii: "\n")
    static let carriageReturn = UInt8(ascii: "\r")
    static let space = UInt8(ascii: " ")
    static let colon = UInt8(ascii: ":")
    static let comma = UInt8(ascii: ",")
    static let slash = UInt8(ascii: "/")
    static let dot = UInt8(ascii: ".")

    /// tchar: the bytes of methods, field names and list elements.
    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool {
        isIn(byte, low: 0x03ff_6cfa_0000_0000, high: 0x57ff_ffff_c7ff_fffe)
    }

    /// The bytes of a host name that every parser reads alike: unreserved of RFC 3986, without sub-delims and escapes.
    @inline(__always)
    static func isHostName(_ byte: UInt8) -> Bool {
        isIn(byte, low: 0x03ff_6000_0000_0000, high: 0x47ff_fffe_87ff_fffe)
    }

    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    @inline(__always)
    static func isHexDigit(_ byte: UInt8) -> Bool { isDigit(byte) || (byte | 0x20) &- 0x61 < 6 }

    @inline(__always)
    static func isOptionalSpace(_ byte: UInt8) -> Bool { byte == space || byte == tab }

    @inline(__always)
    private static func isIn(_ byte: UInt8, low: UInt64, high: UInt64) -> Bool {
        let word = byte < 64 ? low : (byte < 128 ? high : 0)
        return (word &>> UInt64(byte & 63)) & 1 != 0
    }
}

extension ByteClass {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let tops: UInt64 = 0x8080_8080_8080_8080

    /// The first byte in [at, end) that may not stand in a field value, tab included: a control byte or DEL. Else `end`.
    @inline(__always)
    static func firstControl(_ base: UnsafeRawPointer, from start: Int, to end: Int) -> Int {
        var at = start
        while end &- at >= 8 {
            let marks = controls(in: load(base, at))
            if marks != 0 { return at &+ marks.trailingZeroBitCount &>> 3 }
            at &+= 8
        }
        while at < end {
            let byte = base.load(fromByteOffset: at, as: UInt8.self)
            if byte < 0x20 || byte == 0x7f { return at }
            at &+= 1
        }
        return end
    }

    /// The first byte in [at, end) that may not stand in a request target: space, control, DEL, "#" or not ASCII. Else `end`.
    @inline(__always)
    static func firstNonTarget(_ base: UnsafeRawPointer, from start: Int, to end: Int) -> Int {
        var at = start
        while end &- at >= 8 {
            let word = load(base, at)
            let marks = below(word, 0x21) | (word & tops) | equal(word, 0x7f) | equal(word, 0x23)
            if marks != 0 { return at &+ marks.trailingZeroBitCount &>> 3 }
            at &+= 8
        }
        while at < end {
            let byte = base.load(fromByteOffset: at, as: UInt8.self)
            if byte < 0x21 || byte > 0x7e || byte == 0x23 { return at }
            at &+= 1
        }
        return end
    }

    /// The first byte in [at, end) that is neither an ASCII letter nor "-", the bytes of nearly all names. Else `end`.
    @inline(__always)
    static func firstNonLetter(_ base: UnsafeRawPointer, from start: Int, to end: Int) -> Int {
        var at = start
        while end &- at >= 8 {
            let marks = ~lettersAndHyphens(in: load(base, at)) & tops
            if marks != 0 { return at &+ marks.trailingZeroBitCount &>> 3 }
            at &+= 8
        }
        while at < end {
            let byte = base.load(fromByteOffset: at, as: UInt8.self)
            if (byte | 0x20) &- 0x61 >= 26 && byte != 0x2d { return at }
            at &+= 1
        }
        return end
    }

    /// Marks each such byte, exactly: nothing here carries from one byte into the next.
    @inline(__always)
    private static func lettersAndHyphens(in word: UInt64) -> UInt64 {
        let lower = (word | ones &* 0x20) & ~tops
        let isLetter = (lower &+ ones &* 0x1f) & ~(lower &+ ones &* 0x05)
        let difference = word ^ (ones &* 0x2d)
        let isHyphen = ~(((difference & ~tops) &+ ones &* 0x7f) | difference)
        return ((isLetter & ~word) | isHyphen) & tops
    }

    @inline(__always)
    private static func load(_ base: UnsafeRawPointer, _ at: Int) -> UInt64 {
        UInt64(littleEndian: base.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    }

    @inline(__always)
    private static func controls(in word: UInt64) -> UInt64 { below(word, 0x20) | equal(word, 0x7f) }

    // In both, a borrow only reaches bytes above a true mark, so the lowest mark is exact.
    @inline(__always)
    private static func below(_ word: UInt64, _ limit: UInt64) -> UInt64 { (word &- ones &* limit) & ~word & tops }

    @inline(__always)
    private static func equal(_ word: UInt64, _ byte: UInt64) -> UInt64 {
        let difference = word ^ (ones &* byte)
        return (difference &- ones) & ~difference & tops
    }

    /// Whether `count` bytes at `bytes` spell `text` (lower case), letters in either case. `count` must be the text's length,
    /// and the bytes must be free of control bytes wherever the text has "-" (names are checked as tokens first).
    @inline(__always)
    static func spells(_ bytes: UnsafeRawPointer, _ count: Int, _ text: StaticString) -> Bool {
        let wanted = UnsafeRawPointer(text.utf8Start)
        if count >= 8 {
            var at = 0
            while at &+ 8 <= count {
                if (load(bytes, at) ^ load(wanted, at)) & ~(ones &* 0x20) != 0 { return false }
                at &+= 8
            }
            return (load(bytes, count &- 8) ^ load(wanted, count &- 8)) & ~(ones &* 0x20) == 0
        }
        for at in 0..<count {
            let byte = bytes.load(fromByteOffset: at, as: UInt8.self)
            if (byte ^ wanted.load(fromByteOffset: at, as: UInt8.self)) & ~0x20 != 0 { return false }
        }
        return true
    }
}
