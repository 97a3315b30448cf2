// SPDX-License-Identifier: MIT
// Reads the lines of a head (RFC 9112 2 to 5) from the first byte to the last and refuses what is not exactly well formed.
// Safe on arbitrary bytes: every load is behind a bounds check. No meaning of fields here (FieldFacts), no allocation.

/// A place in the bytes of a head. Functions move it forward or throw; after a throw it is of no use.
struct HeadCursor {
    let base: UnsafeRawPointer
    let end: Int
    var at = 0

    @inline(__always)
    init(_ memory: HeadMemory) { self.init(base: UnsafeRawPointer(memory.bytes), end: memory.count) }

    @inline(__always)
    init(base: UnsafeRawPointer, end: Int) {
        self.base = base
        self.end = end
    }

    /// The byte at the cursor, or nil at the end.
    @inline(__always)
    var peek: UInt8? { at < end ? byte(at) : nil }

    @inline(__always)
    func byte(_ offset: Int) -> UInt8 { base.load(fromByteOffset: offset, as: UInt8.self) }

    /// Steps over exactly this byte.
    @inline(__always)
    mutating func skip(_ expected: UInt8, or fault: HeadFault) throws(HeadFault) {
        guard at < end else { throw .incomplete }
        guard byte(at) == expected else { throw fault }
        at &+= 1
    }

    /// Steps over CRLF.
    @inline(__always)
    mutating func skipLineEnd(or fault: HeadFault) throws(HeadFault) {
        guard at < end else { throw .incomplete }
        switch byte(at) {
        case ByteClass.carriageReturn: at &+= 1
        case ByteClass.lineFeed: throw .badLineEnd
        default: throw fault
        }
        try skip(ByteClass.lineFeed, or: .badLineEnd)
    }

    /// Steps over a run of token bytes. `isPlain`: all of them are letters and "-".
    @inline(__always)
    mutating func skipToken() -> (count: Int, isPlain: Bool) {
        let start = at
        var place = ByteClass.firstNonLetter(base, from: start, to: end)
        if place == end || !ByteClass.isToken(byte(place)) {
            at = place
            return (place &- start, true)
        }
        while place < end, ByteClass.isToken(byte(place)) { place &+= 1 }
        at = place
        return (place &- start, false)
    }

    /// "HTTP/1.0" or "HTTP/1.1", exactly. A well-formed version of another number is unsupported.
    mutating func version() throws(HeadFault) -> HTTPVersion {
        guard end &- at >= 8 else { throw .badVersion }
        let name: StaticString = "HTTP/"
        for index in 0..<5 where byte(at &+ index) != name.utf8Start[index] { throw .badVersion }
        let major = byte(at &+ 5), minor = byte(at &+ 7)
        guard ByteClass.isDigit(major), byte(at &+ 6) == ByteClass.dot, ByteClass.isDigit(minor) else { throw .badVersion }
        at &+= 8
        guard major == UInt8(ascii: "1"), minor <= UInt8(ascii: "1") else { throw .unsupportedVersion }
        return minor == UInt8(ascii: "1") ? .http11 : .http10
    }

    /// Reads all field lines and the empty line behind them into `memory`; tells `facts` of each field with a meaning.
    mutating func fields(
        into memory: HeadMemory, limit: Int, facts: inout FieldFacts
    ) throws(HeadFault) {
        memory.fieldsStart = at
        while at < end, byte(at) != ByteClass.carriageReturn {
            guard memory.fieldCount < limit else { throw .tooManyFields }
            let field = try fieldLine()
            if field.known != .other { try facts.note(field, index: memory.fieldCount, base: base) }
            memory.append(field)
        }
        memory.fieldsEnd = at
        try skipLineEnd(or: .badLineEnd)
        guard at == end else { throw .bytesAfterEnd }
    }

    /// name ":" OWS value OWS CRLF. No space before the colon; tab is the only control byte in a value.
    @inline(__always)
    private mutating func fieldLine() throws(HeadFault) -> HeadField {
        let name = at
        let (nameCount, isPlain) = skipToken()
        guard at < end else { throw .incomplete }
        guard byte(at) == ByteClass.colon, nameCount > 0, nameCount <= 0xffff else { throw nameFault(nameCount) }
        at &+= 1
        while at < end, ByteClass.isOptionalSpace(byte(at)) { at &+= 1 }
        let known = KnownField(name: base + name, count: nameCount)
        if known == .other && !isPlain && KnownField.isAlias(base + name, nameCount) { throw .badFieldName }
        let value = at
        try skipText()
        try skipLineEnd(or: .badFieldValue)
        var valueEnd = at &- 2
        while valueEnd > value, ByteClass.isOptionalSpace(byte(valueEnd &- 1)) { valueEnd &-= 1 }
        return HeadField(
            name: UInt32(truncatingIfNeeded: name), nameCount: UInt16(truncatingIfNeeded: nameCount),
            known: known, isNominated: false,
            value: UInt32(truncatingIfNeeded: value), valueCount: UInt32(truncatingIfNeeded: valueEnd &- value))
    }

    private func nameFault(_ nameCount: Int) -> HeadFault {
        switch byte(at) {
        case ByteClass.lineFeed, ByteClass.carriageReturn: return nameCount == 0 ? .badLineEnd : .badFieldName
        case ByteClass.space, ByteClass.tab: return nameCount == 0 ? .foldedLine : .badFieldName
        default: return .badFieldName
        }
    }

    /// Steps to the first control byte that is not a tab.
    @inline(__always)
    mutating func skipText() throws(HeadFault) {
        while true {
            at = ByteClass.firstControl(base, from: at, to: end)
            guard at < end else { throw .incomplete }
            guard byte(at) == ByteClass.tab else { return }
            at &+= 1
        }
    }
}
