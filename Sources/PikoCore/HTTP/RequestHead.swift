// SPDX-License-Identifier: MIT
// A request's head: parsed strictly (RFC 9112, and refused wherever parsers are known to differ) from bytes whose end was
// found before. Owns a copy of the bytes, so it outlives the buffer it was read from. Loop-confined; reused head after head;
// no allocation for usual heads.

/// The head of a request. One per connection (or from a pool per loop): `parse` it, ask, `write` it on, parse the next.
///
/// Every byte range it hands out points into its own memory: valid until the next `parse` or `release`, and only while
/// somebody else than the asking expression holds the head (a connection's property does).
public final class RequestHead {
    /// What the head means. A plain value; keep it where the head itself is not needed.
    public private(set) var traits = RequestTraits()

    let memory = HeadMemory()
    /// Of the heads to come.
    @exclusivity(unchecked) public var limits: HeadLimits
    private(set) var facts = FieldFacts()
    private var parts = Parts()

    private typealias Span = (start: Int, count: Int)

    /// Where the parts of the request line are, and what the route found.
    private struct Parts {
        var methodCount = 0
        var target: Span = (0, 0)
        var path: Span = (0, 0)
        var authority: Span = (0, 0)
        var hostEndpoint: Span = (0, 0)
        var form = RequestTarget.Form.origin
    }

    public init(limits: HeadLimits = HeadLimits()) {
        self.limits = limits
    }

    /// Copies and parses a whole head: request line, field lines, empty line, nothing behind it. Safe on arbitrary bytes.
    /// - Returns: nil, or why the head is refused; then nothing else may be asked of it but another parse.
    public func parse(_ head: UnsafeRawBufferPointer) -> HeadFault? {
        traits = RequestTraits()
        facts = FieldFacts()
        guard head.count <= limits.bytes else {
            memory.clear()
            return .headTooLarge
        }
        memory.take(head)
        do throws(HeadFault) {
            try read()
            return nil
        } catch {
            memory.clear()
            return error
        }
    }

    /// Forgets the head and gives back the memory that an unusually large one took. For a connection that goes idle.
    public func release() {
        memory.release()
    }

    private func read() throws(HeadFault) {
        var cursor = HeadCursor(memory)
        var traits = RequestTraits()
        var facts = FieldFacts()
        var parts = Parts()
        try readLine(&cursor, &traits, &parts)
        try cursor.fields(into: memory, limit: limits.fields, facts: &facts)
        try readRoute(facts, traits, &parts)
        try settle(facts, &traits)
        if facts.hasNominations { Nominations.mark(memory) }
        self.facts = facts
        self.parts = parts
        self.traits = traits
    }

    /// method SP request-target SP HTTP-version CRLF, single spaces (RFC 9112 3).
    private func readLine(
        _ cursor: inout HeadCursor, _ traits: inout RequestTraits, _ parts: inout Parts
    ) throws(HeadFault) {
        parts.methodCount = cursor.skipToken().count
        guard parts.methodCount > 0, parts.methodCount <= 64 else { throw .badMethod }
        try cursor.skip(ByteClass.space, or: .badMethod)
        traits.method = KnownMethod(memory.slice(0, parts.methodCount))
        let start = cursor.at
        cursor.at = ByteClass.firstNonTarget(cursor.base, from: start, to: cursor.end)
        parts.target = (start, cursor.at - start)
        guard parts.target.count > 0 else { throw .badTarget }
        try cursor.skip(ByteClass.space, or: .badTarget)
        traits.version = try cursor.version()
        try cursor.skipLineEnd(or: .badVersion)
    }

    /// Host and target: exactly one Host in HTTP/1.1, well formed, and the same as the authority of an absolute target.
    private func readRoute(
        _ facts: FieldFacts, _ traits: RequestTraits, _ parts: inout Parts
    ) throws(HeadFault) {
        let target = try RequestTarget(memory.slice(parts.target.start, parts.target.count), method: traits.method)
        parts.form = target.form
        parts.path = span(target.path)
        guard facts.hostCount > 0 else {
            if traits.version == .http11 { throw .missingHost }
            if let authority = target.authority { parts.authority = span(authority.whole) }
            if let endpoint = target.authority?.endpoint { parts.hostEndpoint = span(endpoint) }
            return
        }
        guard facts.hostCount == 1 else { throw .repeatedHost }
        guard let host = HostValue(memory.value(at: facts.host)) else { throw .badHost }
        if let authority = target.authority {
            guard authority.isSame(as: host, defaultPort: target.defaultPort) else { throw .hostMismatch }
        }
        if let endpoint = host.endpoint { parts.hostEndpoint = span(endpoint) }
    }

    private func settle(_ facts: FieldFacts, _ traits: inout RequestTraits) throws(HeadFault) {
        let isNew = traits.version == .http11
        let announced = try facts.announced(traits.version)
        if traits.method == .connect && announced != nil { throw .bodyNotAllowed }
        traits.framing = announced ?? .empty
        traits.keepAlive = facts.keepsAlive(traits.version)
        traits.isUpgrade = isNew && facts.saysUpgrade && facts.hasUpgrade
        traits.expectsContinue = isNew && facts.expectsContinue
        traits.acceptsTrailers = facts.acceptsTrailers
        traits.claimsForward = facts.claimsForward
        traits.hasTrail = facts.hasTrail
        traits.hasToken = facts.hasToken
    }

    private func span(_ bytes: UnsafeRawBufferPointer) -> Span {
        guard let start = bytes.baseAddress, !bytes.isEmpty else { return (0, 0) }
        return (start - UnsafeRawPointer(memory.bytes), bytes.count)
    }
}

extension RequestHead {
    /// The method as it was sent: a token of 1 to 64 bytes. Case matters.
    public var method: UnsafeRawBufferPointer { memory.slice(0, parts.methodCount) }

    /// The request target as it was sent, for the log.
    public var targetAsSent: UnsafeRawBufferPointer { memory.slice(parts.target.start, parts.target.count) }

    /// Path and query as they are passed on: an absolute target without its scheme and authority. Starts with "/", except "*",
    /// CONNECT's authority, and an absolute target without a path: "?..." or empty (`write` puts "/" or "*" there).
    public var pathAndQuery: UnsafeRawBufferPointer {
        parts.form == .authority || parts.form == .asterisk ? targetAsSent : memory.slice(parts.path.start, parts.path.count)
    }

    /// The Host value; where none was sent (HTTP/1.0), the authority of an absolute target or of CONNECT; else nil.
    public var host: UnsafeRawBufferPointer? {
        if facts.hostCount == 1 { return memory.value(at: facts.host) }
        return parts.authority.count > 0 ? memory.slice(parts.authority.start, parts.authority.count) : nil
    }

    /// The endpoint the request is for, as it was sent: `x-piko-endpoint` unless empty, else the host's first label; nil: the
    /// request names none. Compare without regard to case where it came from the host (`endpointIsFromHost`).
    public var endpoint: UnsafeRawBufferPointer? {
        if facts.endpoint >= 0 { return memory.value(at: facts.endpoint) }
        return parts.hostEndpoint.count > 0 ? memory.slice(parts.hostEndpoint.start, parts.hostEndpoint.count) : nil
    }

    public var endpointIsFromHost: Bool { facts.endpoint < 0 && parts.hostEndpoint.count > 0 }

    /// All fields in order.
    public var fields: HeadFields { HeadFields(memory: memory) }

    /// Bytes of the whole head as it was sent, its empty line included.
    public var byteCount: Int { memory.count }
}

extension KnownMethod {
    @inline(__always)
    init(_ method: UnsafeRawBufferPointer) {
        self = KnownMethod.find(method)
    }

    private static func find(_ method: UnsafeRawBufferPointer) -> KnownMethod {
        switch method.count {
        case 3: return equals(method, "GET") ? .get : equals(method, "PUT") ? .put : .other
        case 4: return equals(method, "POST") ? .post : equals(method, "HEAD") ? .head : .other
        case 5: return equals(method, "PATCH") ? .patch : equals(method, "TRACE") ? .trace : .other
        case 6: return equals(method, "DELETE") ? .delete : .other
        case 7: return equals(method, "OPTIONS") ? .options : equals(method, "CONNECT") ? .connect : .other
        default: return .other
        }
    }

    /// Case matters in methods (RFC 9110 9.1).
    @inline(__always)
    private static func equals(_ method: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        for index in 0..<method.count where method[index] != text.utf8Start[index] { return false }
        return true
    }
}
