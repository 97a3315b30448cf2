// SPDX-License-Identifier: MIT
// A response's head, held to the same rules as a request's: a service's head that parsers could read differently is a 502,
// not a guess. Owns a copy of the bytes. Loop-confined; reused head after head; no allocation for usual heads.

/// The head of a response. `parse` it with the request it answers, ask, `write` it on, parse the next (after an interim one too).
///
/// Every byte range it hands out points into its own memory: valid until the next `parse` or `release`, and only while
/// somebody else than the asking expression holds the head (a connection's property does).
public final class ResponseHead {
    /// What the head means. A plain value; keep it where the head itself is not needed.
    public private(set) var traits = ResponseTraits()

    let memory = HeadMemory()
    /// Of the heads to come.
    @exclusivity(unchecked) public var limits: HeadLimits
    /// Where the reason phrase is; may be empty.
    private var reasonStart = 0
    private var reasonCount = 0

    public init(limits: HeadLimits = HeadLimits()) {
        self.limits = limits
    }

    /// Copies and parses a whole head: status line, field lines, empty line, nothing behind it. Safe on arbitrary bytes.
    /// - Parameter request: what was asked; it decides whether a body follows (RFC 9112 6.3) and whether 101 is an answer.
    /// - Returns: nil, or why the head is refused (502 to the client); then nothing else may be asked of it but another parse.
    public func parse(_ head: UnsafeRawBufferPointer, answering request: RequestTraits) -> HeadFault? {
        traits = ResponseTraits()
        guard head.count <= limits.bytes else {
            memory.clear()
            return .headTooLarge
        }
        memory.take(head)
        do throws(HeadFault) {
            try read(request)
            return nil
        } catch {
            memory.clear()
            return error
        }
    }

    /// Forgets the head and gives back the memory that an unusually large one took.
    public func release() {
        memory.release()
    }

    private func read(_ request: RequestTraits) throws(HeadFault) {
        var cursor = HeadCursor(memory)
        var traits = ResponseTraits()
        var facts = FieldFacts(isResponse: true)
        try readLine(&cursor, &traits)
        try cursor.fields(into: memory, limit: limits.fields, facts: &facts)
        try settle(facts, request, &traits)
        if facts.hasNominations { Nominations.mark(memory) }
        self.traits = traits
    }

    /// HTTP-version SP status-code [SP reason-phrase] CRLF (RFC 9112 4; the second space is often left out, and all parsers
    /// allow that).
    private func readLine(_ cursor: inout HeadCursor, _ traits: inout ResponseTraits) throws(HeadFault) {
        traits.version = try cursor.version()
        try cursor.skip(ByteClass.space, or: .badVersion)
        guard cursor.end - cursor.at >= 3 else { throw .badStatus }
        for _ in 0..<3 {
            let digit = cursor.byte(cursor.at)
            guard ByteClass.isDigit(digit) else { throw .badStatus }
            traits.status = traits.status &* 10 &+ UInt16(digit &- 0x30)
            cursor.at += 1
        }
        guard traits.status >= 100 else { throw .badStatus }
        if cursor.peek == ByteClass.space {
            cursor.at += 1
        } else if cursor.peek != ByteClass.carriageReturn {
            throw .badStatus
        }
        reasonStart = cursor.at
        try cursor.skipText()
        reasonCount = cursor.at - reasonStart
        try cursor.skipLineEnd(or: .badReason)
    }

    private func settle(_ facts: FieldFacts, _ request: RequestTraits, _ traits: inout ResponseTraits) throws(HeadFault) {
        let announced = try facts.announced(traits.version)
        let isSwitch = traits.status == 101
        if isSwitch && !request.isUpgrade { throw .unexpectedUpgrade }
        traits.isInterim = traits.status < 200 && !isSwitch
        traits.isRefused = facts.saysRefused && (traits.status == 502 || traits.status == 503)
        traits.isUpgrade = isSwitch || (request.method == .connect && traits.status / 100 == 2)
        traits.framing = try framing(announced, request, traits)
        // A service that takes an upgrade for the end of the request has not read the body: it is on the connection still.
        let bodyInDoubt = request.isUpgrade && request.framing != .empty
        traits.keepAlive =
            facts.keepsAlive(traits.version) && traits.framing != .untilClose && !traits.isUpgrade && !bodyInDoubt
    }

    /// RFC 9112 6.3, but for one thing: a body announced where none may be (1xx, 204, 2xx to CONNECT) is refused, since
    /// parsers differ on it.
    private func framing(
        _ announced: BodyFraming?, _ request: RequestTraits, _ traits: ResponseTraits
    ) throws(HeadFault) -> BodyFraming {
        if traits.status < 200 || traits.status == 204 || traits.isUpgrade {
            guard announced == nil || announced == .empty else { throw .bodyNotAllowed }
            return .empty
        }
        if traits.status == 304 || request.method == .head { return .empty }
        return announced ?? .untilClose
    }
}

extension ResponseHead {
    /// The reason phrase as it was sent, without the space in front of it. May be empty.
    public var reason: UnsafeRawBufferPointer { memory.slice(reasonStart, reasonCount) }

    /// All fields in order.
    public var fields: HeadFields { HeadFields(memory: memory) }

    /// Bytes of the whole head as it was sent, its empty line included.
    public var byteCount: Int { memory.count }
}
