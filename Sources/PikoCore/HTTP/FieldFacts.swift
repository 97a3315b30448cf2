// SPDX-License-Identifier: MIT
// Gathers, field by field while a head is read, what its fields say about framing, connection and routing, and refuses at
// once what two parsers could read differently. A plain value on the stack; requests and responses ask it different questions
// afterwards.

/// What the fields read so far say. Values are checked when they are noted; combinations when the head is complete.
struct FieldFacts {
    private(set) var hasLength = false
    private(set) var length: UInt64 = 0
    private(set) var isChunked = false
    private(set) var hostCount = 0
    private(set) var host = 0
    private(set) var endpoint = -1
    private(set) var saysClose = false
    private(set) var saysKeepAlive = false
    private(set) var saysUpgrade = false
    /// Connection names something else than close, keep-alive and upgrade.
    private(set) var hasNominations = false
    private(set) var hasUpgrade = false
    private(set) var expectsContinue = false
    private(set) var acceptsTrailers = false
    private(set) var claimsForward = false
    private(set) var saysRefused = false
    private(set) var hasTrail = false
    private(set) var hasToken = false
    private var controls: UInt8 = 0
    private let isResponse: Bool

    init(isResponse: Bool = false) { self.isResponse = isResponse }

    /// Takes note of field `index`, whose offsets are into `base`.
    mutating func note(_ field: HeadField, index: Int, base: UnsafeRawPointer) throws(HeadFault) {
        let value = UnsafeRawBufferPointer(start: base + Int(field.value), count: Int(field.valueCount))
        switch field.known {
        case .contentLength:
            guard FieldFacts.hasNoTabs(field, base) else { throw .badLength }
            try noteLength(value)
        case .transferEncoding:
            guard FieldFacts.hasNoTabs(field, base) else { throw .badTransferEncoding }
            try noteTransferEncoding(value)
        case .connection: try noteConnection(value)
        case .proxyConnection: noteProxyConnection(value)
        case .upgrade: try noteUpgrade(value)
        case .xPikoRefused: saysRefused = TokenList.element(value, is: "1")
        default: if !isResponse { try noteRequestField(field.known, index, value) }
        }
    }

    private mutating func noteRequestField(
        _ known: KnownField, _ index: Int, _ value: UnsafeRawBufferPointer
    ) throws(HeadFault) {
        switch known {
        case .host: noteHost(index)
        case .expect: try noteExpect(value)
        case .te: noteTE(value)
        case .xPikoEndpoint, .xPikoForward, .xPikoAuthorization, .xPikoTenantID, .xPikoNode: try noteControl(known, index, value)
        default: break
        }
    }

    /// Where a request's body ends (RFC 9112 6.3), or, for a response, what its fields announce; nil when they announce nothing.
    func announced(_ version: HTTPVersion) throws(HeadFault) -> BodyFraming? {
        if isChunked {
            if hasLength { throw .lengthWithChunked }
            if version == .http10 { throw .transferEncodingInHTTP10 }
            return .chunked
        }
        if !hasLength { return nil }
        return length == 0 ? .empty : .length(length)
    }

    /// Whether the sender lets the connection go on (RFC 9112 9.3).
    func keepsAlive(_ version: HTTPVersion) -> Bool {
        !saysClose && (version == .http11 || saysKeepAlive)
    }

    /// Whether a line, which was found to end in CR, has no tab around or in its value. Parsers differ on those, and in these
    /// fields it matters.
    private static func hasNoTabs(_ field: HeadField, _ base: UnsafeRawPointer) -> Bool {
        var at = Int(field.name) &+ Int(field.nameCount) &+ 1
        while true {
            let byte = base.load(fromByteOffset: at, as: UInt8.self)
            if byte == ByteClass.tab || byte == ByteClass.carriageReturn { return byte != ByteClass.tab }
            at &+= 1
        }
    }

    private mutating func noteHost(_ index: Int) {
        hostCount &+= 1
        host = index
    }

    /// 1*DIGIT, once, at most Int64.max: what every reader can hold. No sign, no list, no space.
    private mutating func noteLength(_ value: UnsafeRawBufferPointer) throws(HeadFault) {
        if hasLength { throw .repeatedLength }
        guard value.count >= 1, value.count <= 19 else { throw .badLength }
        var total: UInt64 = 0
        for byte in value {
            guard ByteClass.isDigit(byte) else { throw .badLength }
            total = total &* 10 &+ UInt64(byte &- 0x30)
        }
        guard total <= UInt64(Int64.max) else { throw .badLength }
        length = total
        hasLength = true
    }

    /// `chunked` alone, in one line. Whatever else is readable as codings is refused as such, the rest as malformed.
    private mutating func noteTransferEncoding(_ value: UnsafeRawBufferPointer) throws(HeadFault) {
        if isChunked { throw .repeatedTransferEncoding }
        if !TokenList.element(value, is: "chunked") { throw codingFault(value) }
        isChunked = true
    }

    private func codingFault(_ value: UnsafeRawBufferPointer) -> HeadFault {
        var list = TokenList(value)
        var chunked = 0, last = false, any = false
        while let element = list.next() {
            guard !element.isEmpty, TokenList.isToken(element) else { return .badTransferEncoding }
            last = TokenList.element(element, is: "chunked")
            chunked &+= last ? 1 : 0
            any = true
        }
        return any && (chunked == 0 || chunked == 1 && last) ? .unsupportedTransferCoding : .badTransferEncoding
    }

    private mutating func noteConnection(_ value: UnsafeRawBufferPointer) throws(HeadFault) {
        if TokenList.element(value, is: "keep-alive") {
            saysKeepAlive = true
            return
        }
        var list = TokenList(value)
        while let element = list.next() {
            if element.isEmpty { continue }
            guard TokenList.isToken(element) else { throw .badConnection }
            if TokenList.element(element, is: "keep-alive") {
                saysKeepAlive = true
            } else if TokenList.element(element, is: "close") {
                saysClose = true
            } else if TokenList.element(element, is: "upgrade") {
                saysUpgrade = true
            } else {
                hasNominations = true
            }
        }
    }

    /// Without a meaning since RFC 7230, but some parsers close on it: then so do we.
    private mutating func noteProxyConnection(_ value: UnsafeRawBufferPointer) {
        var list = TokenList(value)
        while let element = list.next() {
            if TokenList.element(element, is: "close") { saysClose = true }
        }
    }

    /// protocol-name ["/" protocol-version], a list (RFC 9110 7.8). Empty is refused: parsers differ on whether it counts.
    private mutating func noteUpgrade(_ value: UnsafeRawBufferPointer) throws(HeadFault) {
        guard !value.isEmpty else { throw .badUpgrade }
        for byte in value {
            let isFine = ByteClass.isToken(byte) || ByteClass.isOptionalSpace(byte) || byte == ByteClass.slash
            guard isFine || byte == ByteClass.comma else { throw .badUpgrade }
        }
        hasUpgrade = true
    }

    private mutating func noteExpect(_ value: UnsafeRawBufferPointer) throws(HeadFault) {
        guard TokenList.element(value, is: "100-continue") else { throw .unsupportedExpectation }
        expectsContinue = true
    }

    private mutating func noteTE(_ value: UnsafeRawBufferPointer) {
        var list = TokenList(value)
        while let element = list.next() {
            if TokenList.element(element, is: "trailers") { acceptsTrailers = true }
        }
    }

    /// The fields that steer Piko itself come once: with two, two readers could choose differently.
    private mutating func noteControl(
        _ known: KnownField, _ index: Int, _ value: UnsafeRawBufferPointer
    ) throws(HeadFault) {
        let bit: UInt8 = 1 &<< (known.rawValue &- KnownField.xPikoEndpoint.rawValue)
        if controls & bit != 0 { throw .repeatedControlField }
        controls |= bit
        if known == .xPikoEndpoint && !value.isEmpty { endpoint = index }
        if known == .xPikoNode { hasTrail = true }
        if known == .xPikoAuthorization && !value.isEmpty { hasToken = true }
        if known == .xPikoForward && TokenList.element(value, is: "true") { claimsForward = true }
    }
}
