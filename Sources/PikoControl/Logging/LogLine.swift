// SPDX-License-Identifier: MIT
// Writes one line of JSON into memory of a fixed size. Whatever is added, the line stays valid JSON within the bound: text that
// does not fit is cut at a character, a field that does not fit is left out, and "cut":true says so.
// Bytes of a peer come in as they are: control characters are escaped, what is not UTF-8 becomes U+FFFD. Pure, any thread.

import PikoCore

/// One log line while it is built. Add fields in order; the writer of the line closes it.
public struct LogLine {
    private let memory: UnsafeMutableRawBufferPointer
    /// Bytes written so far.
    private(set) var count: Int
    /// Content may go up to here; behind it is room for what closes the line.
    private let limit: Int
    private(set) var wasCut = false
    private var needsComma = false

    /// Room kept for closing brackets, the mark of a cut and the newline.
    static let reserve = 48

    /// Writes into `memory` from `start`; the memory is the caller's and outlives the line. At least 256 bytes from start.
    init(memory: UnsafeMutableRawBufferPointer, start: Int = 0) {
        precondition(memory.count >= start + 256, "too little memory for a log line")
        self.memory = memory
        count = start
        limit = memory.count - Self.reserve
    }

    /// Goes on with a line of which `count` bytes are there, the last of them an element, and keeps `room` more for what
    /// comes later. Closing brackets of a line that was full may stand in the reserve already.
    init(memory: UnsafeMutableRawBufferPointer, resumingAt count: Int, wasCut: Bool, keeping room: Int = 0) {
        precondition(count + room <= memory.count, "no room for the rest of the line")
        self.memory = memory
        self.count = count
        self.wasCut = wasCut
        limit = memory.count - Self.reserve - room
        needsComma = true
    }

    // MARK: Fields

    public mutating func add(_ key: StaticString, _ value: some StringProtocol) {
        guard openField(key, room: 2) else { return }
        var value = String(value)
        value.withUTF8 { quote(UnsafeRawBufferPointer($0)) }
    }

    /// Text of a peer, as borrowed bytes, of which at most `most` are shown.
    public mutating func add(_ key: StaticString, bytes: UnsafeRawBufferPointer, most: Int = .max) {
        guard openField(key, room: 2) else { return }
        if bytes.count > most { wasCut = true }
        quote(UnsafeRawBufferPointer(rebasing: bytes.prefix(most)))
    }

    /// A field whose key is not known beforehand.
    public mutating func add(key: String, _ value: String) {
        var key = key
        var value = value
        guard roomFor(key.utf8.count + 8) else { return }
        comma()
        key.withUTF8 { quote(UnsafeRawBufferPointer($0)) }
        put(UInt8(ascii: ":"))
        value.withUTF8 { quote(UnsafeRawBufferPointer($0)) }
    }

    public mutating func add(_ key: StaticString, _ value: some BinaryInteger) {
        guard openField(key, room: 21) else { return }
        if value < 0 { put(UInt8(ascii: "-")) }
        digits(UInt64(clamping: value.magnitude))
    }

    public mutating func add(_ key: StaticString, _ value: Bool) {
        guard openField(key, room: 5) else { return }
        put(value ? "true" : "false")
    }

    /// As "1.5ms", "2m0.25s".
    public mutating func add(_ key: StaticString, nanoseconds: UInt64) {
        guard openField(key, room: 40) else { return }
        put(UInt8(ascii: "\""))
        duration(nanoseconds)
        put(UInt8(ascii: "\""))
    }

    // MARK: Structure

    /// False when it does not fit: then add nothing to it and do not end it.
    mutating func beginObject(_ key: StaticString) -> Bool {
        guard openField(key, room: 32) else { return false }
        put(UInt8(ascii: "{"))
        needsComma = false
        return true
    }

    mutating func endObject() {
        put(UInt8(ascii: "}"))
        needsComma = true
    }

    /// A list of texts under the name of a header field, written as Go's canonical form ("User-Agent"). False when it does not fit.
    mutating func beginList(fieldName: UnsafeRawBufferPointer) -> Bool {
        guard roomFor(fieldName.count + 8) else { return false }
        comma()
        put(UInt8(ascii: "\""))
        canonical(fieldName)
        put("\":[")
        needsComma = false
        return true
    }

    mutating func element(bytes: UnsafeRawBufferPointer) {
        guard roomFor(3) else { return }
        comma()
        quote(bytes)
    }

    mutating func endList() {
        put(UInt8(ascii: "]"))
        needsComma = true
    }

    /// Opens the line. The four fields come first and in this order.
    mutating func begin(level: LogLevel, time: LogTime, subsystem: String, message: UnsafeRawBufferPointer) {
        put("{\"level\":\"")
        put(level.staticName)
        put("\",\"ts\":\"")
        time.write(to: &self)
        put("\"")
        needsComma = true
        add("subsystem", subsystem)
        add("msg", bytes: message)
    }

    /// Closes the line with its newline. Nothing may be added afterwards.
    mutating func end() {
        if wasCut { put(",\"cut\":true") }
        put("}\n")
    }

    /// A field name is a token, so nothing of it needs an escape; what is no token byte would not have been accepted.
    private mutating func canonical(_ name: UnsafeRawBufferPointer) {
        let target = memory.baseAddress! + count
        var upper = true
        for index in 0..<name.count {
            let byte = name[index]
            let isLetter = byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A
            let isHarmless = byte > 0x20 && byte < 0x7F && byte != 0x22 && byte != 0x5C
            let shown = isLetter ? (upper ? byte & 0xDF : byte | 0x20) : (isHarmless ? byte : UInt8(ascii: "?"))
            target.storeBytes(of: shown, toByteOffset: index, as: UInt8.self)
            upper = byte == UInt8(ascii: "-")
        }
        count += name.count
    }

    // MARK: Bytes

    mutating func put(_ byte: UInt8) {
        guard count < memory.count else { return }
        memory[count] = byte
        count += 1
    }

    mutating func put(_ text: StaticString) {
        let bytes = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        guard bytes.count <= memory.count - count else { return }
        memory.baseAddress!.advanced(by: count).copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
        count += bytes.count
    }

    /// Decimal digits of a number, at least `width` of them.
    mutating func digits(_ value: UInt64, width: Int = 1) {
        var divisor: UInt64 = 1
        var places = 1
        while places < width || value / divisor >= 10 {
            divisor *= 10
            places += 1
        }
        while divisor > 0 {
            put(UInt8(truncatingIfNeeded: value / divisor % 10) + 0x30)
            divisor /= 10
        }
    }

    private mutating func comma() {
        if needsComma { put(UInt8(ascii: ",")) }
        needsComma = true
    }

    private mutating func roomFor(_ bytes: Int) -> Bool {
        if count + bytes <= limit { return true }
        wasCut = true
        return false
    }

    private mutating func openField(_ key: StaticString, room: Int) -> Bool {
        guard roomFor(key.utf8CodeUnitCount + 4 + room) else { return false }
        comma()
        put(UInt8(ascii: "\""))
        put(key)
        put("\":")
        return true
    }

    private mutating func quote(_ bytes: UnsafeRawBufferPointer) {
        put(UInt8(ascii: "\""))
        var at = 0
        while at < bytes.count {
            let plain = plainRun(bytes, from: at)
            at += copy(bytes, from: at, to: plain)
            guard at == plain else { wasCut = true; break }
            guard at < bytes.count else { break }
            guard roomFor(7) else { break }
            at += putSpecial(bytes, at)
        }
        put(UInt8(ascii: "\""))
    }

    /// Where the run of bytes that need no escape ends. Eight at a time while there are so many.
    private func plainRun(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var at = start
        while at + 8 <= bytes.count {
            let special = Self.special(bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self).littleEndian)
            if special != 0 { return at + special.trailingZeroBitCount / 8 }
            at += 8
        }
        while at < bytes.count, Self.special(UInt64(bytes[at]) | 0x6161_6161_6161_6100) == 0 { at += 1 }
        return at
    }

    /// Of eight bytes, the first in the lowest bits: the high bit of each that needs an escape or is not ASCII. Bits above the
    /// first one found may be wrong.
    private static func special(_ word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let controls = (word &- ones &* 0x20) & ~word
        let quotes = zeros(word ^ ones &* 0x22) | zeros(word ^ ones &* 0x5C) | zeros(word ^ ones &* 0x7F)
        return (controls | quotes | word) & (ones &* 0x80)
    }

    private static func zeros(_ word: UInt64) -> UInt64 { (word &- 0x0101_0101_0101_0101) & ~word }

    /// Copies what fits of a run; returns how many bytes.
    private mutating func copy(_ bytes: UnsafeRawBufferPointer, from start: Int, to end: Int) -> Int {
        let fits = max(0, min(end - start, limit - 1 - count))
        guard fits > 0 else { return 0 }
        memory.baseAddress!.advanced(by: count).copyMemory(from: bytes.baseAddress! + start, byteCount: fits)
        count += fits
        return fits
    }

    /// Writes the character at `at`, escaped where needed; returns how many bytes of input it was.
    private mutating func putSpecial(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> Int {
        let byte = bytes[at]
        if byte >= 0x80 { return putScalar(bytes, at) }
        switch byte {
        case UInt8(ascii: "\""): put("\\\"")
        case UInt8(ascii: "\\"): put("\\\\")
        case UInt8(ascii: "\n"): put("\\n")
        case UInt8(ascii: "\r"): put("\\r")
        case UInt8(ascii: "\t"): put("\\t")
        default: putEscape(byte)
        }
        return 1
    }

    private mutating func putScalar(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> Int {
        let length = UTF8Sequence.length(bytes, at)
        guard length > 0 else { put("\\ufffd"); return 1 }
        if bytes[at] == 0xC2, bytes[at + 1] < 0xA0 {
            putEscape(bytes[at + 1])
        } else if bytes[at] == 0xE2, bytes[at + 1] == 0x80, bytes[at + 2] & 0xFE == 0xA8 {
            // U+2028 and U+2029 end a line where lines are Unicode's.
            put("\\u202")
            put(Self.hex(bytes[at + 2] & 15))
        } else {
            for offset in 0..<length { put(bytes[at + offset]) }
        }
        return length
    }

    private mutating func putEscape(_ byte: UInt8) {
        put("\\u00")
        put(Self.hex(byte >> 4))
        put(Self.hex(byte & 15))
    }

    private static func hex(_ nibble: UInt8) -> UInt8 { nibble < 10 ? nibble + 0x30 : nibble + 0x57 }
}
