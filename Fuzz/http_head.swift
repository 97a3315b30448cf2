// SPDX-License-Identifier: MIT
// Fuzzes the parser and the rewriter of HTTP heads on arbitrary bytes. Holds: what is accepted has only well-formed lines; no
// part of it is accepted alone; what is sent on is accepted again with the same meaning, and sent on once more it does not
// change; memory that was reused or given back reads the same. Single-threaded; the heads live as long as the process, as a
// connection's do.
// fuzz-sources: Sources/PikoCore/HTTP/*.swift Sources/PikoCore/Routing/LoopList.swift
// fuzz-seeds: head_scan.hex http1

/// One of everything a connection owns.
private final class Subject {
    let request = RequestHead(limits: HeadLimits(bytes: 4096, fields: 40))
    let response = ResponseHead(limits: HeadLimits(bytes: 4096, fields: 40))
    let again = RequestHead()
    let answerAgain = ResponseHead()
    let writer = HeadWriter()
    let second = HeadWriter()
}

nonisolated(unsafe) private let subject = Subject()

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    if subject.request.parse(bytes) == nil { checkRequest(bytes) }
    for method in [KnownMethod.get, .head, .connect] {
        var asked = RequestTraits()
        asked.method = method
        asked.isUpgrade = count & 1 == 1
        if subject.response.parse(bytes, answering: asked) == nil { checkResponse(bytes, asked) }
    }
    return 0
}

private func checkRequest(_ bytes: UnsafeRawBufferPointer) {
    let head = subject.request, again = subject.again
    let traits = head.traits
    checkLines(bytes, head.fields)
    precondition(traits.framing != .untilClose, "a request has no end")
    precondition(again.parse(UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count / 2)])) != nil, "half a head was accepted")
    precondition(again.parse(UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - 1)])) != nil, "a cut head was accepted")
    var rewrite = RequestRewrite()
    rewrite.connection = bytes.count & 2 == 2 ? .close : .implied
    rewrite.marksForward = bytes.count & 4 == 4
    subject.writer.clear()
    head.write(rewrite, to: subject.writer)
    precondition(again.parse(subject.writer.bytes) == nil, "what is sent on is refused")
    precondition(
        again.traits.framing == traits.framing && again.traits.isUpgrade == traits.isUpgrade, "what is sent on differs")
    precondition(again.traits.version == .http11 && again.traits.method == traits.method, "what is sent on differs")
    subject.second.clear()
    again.write(rewrite, to: subject.second)
    checkSame(subject.writer.bytes, subject.second.bytes)
    head.release()
    precondition(head.parse(bytes) == nil && head.traits == traits, "read differently from fresh memory")
}

private func checkResponse(_ bytes: UnsafeRawBufferPointer, _ asked: RequestTraits) {
    let head = subject.response, again = subject.answerAgain
    let traits = head.traits
    checkLines(bytes, head.fields)
    precondition(traits.status >= 100 && traits.status <= 999, "a status out of range")
    precondition(
        again.parse(UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - 1)]), answering: asked) != nil,
        "a cut head was accepted")
    subject.writer.clear()
    head.write(ResponseRewrite(), to: subject.writer)
    precondition(again.parse(subject.writer.bytes, answering: asked) == nil, "what is sent on is refused")
    precondition(again.traits.framing == traits.framing && again.traits.status == traits.status, "what is sent on differs")
    subject.second.clear()
    again.write(ResponseRewrite(), to: subject.second)
    checkSame(subject.writer.bytes, subject.second.bytes)
    head.release()
    precondition(head.parse(bytes, answering: asked) == nil && head.traits == traits, "read differently from fresh memory")
}

/// CR and LF come in pairs only, no NUL anywhere, one empty line at the end; names are tokens, values hold no control byte
/// but tab.
private func checkLines(_ bytes: UnsafeRawBufferPointer, _ fields: HeadFields) {
    for (index, byte) in bytes.enumerated() {
        let isPair =
            byte == 0x0d
            ? index + 1 < bytes.count && bytes[index + 1] == 0x0a : byte != 0x0a || index > 0 && bytes[index - 1] == 0x0d
        precondition(isPair && byte != 0, "a line was accepted that is not one")
    }
    for index in 0..<fields.count {
        let (name, value) = fields[index]
        precondition(TokenList.isToken(name), "a name that is none")
        precondition(value.allSatisfy { $0 == 0x09 || $0 >= 0x20 && $0 != 0x7f }, "a control byte in a value")
        precondition(value.first.map { !ByteClass.isOptionalSpace($0) } ?? true, "a space in front of a value")
    }
}

private func checkSame(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) {
    precondition(one.elementsEqual(other), "sent on once more, a head changes")
}
