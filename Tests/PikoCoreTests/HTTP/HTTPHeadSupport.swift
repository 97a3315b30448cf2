// SPDX-License-Identifier: MIT
// What the tests of heads share: heads from text, and what is in them as text again
// (a range of a head is read only while the head surely lives).

@testable import PikoCore

/// A parsed request, or the reason why not.
func parseRequest(_ text: String, limits: HeadLimits = HeadLimits()) -> (head: RequestHead, fault: HeadFault?) {
    parseRequest(Array(text.utf8), limits: limits)
}

func parseRequest(_ bytes: [UInt8], limits: HeadLimits = HeadLimits()) -> (head: RequestHead, fault: HeadFault?) {
    let head = RequestHead(limits: limits)
    return (head, bytes.withUnsafeBytes { head.parse($0) })
}

/// A parsed response to a GET, or the reason why not.
func parseResponse(
    _ text: String, answering request: RequestTraits = RequestTraits(), limits: HeadLimits = HeadLimits()
) -> (head: ResponseHead, fault: HeadFault?) {
    let head = ResponseHead(limits: limits)
    return (head, Array(text.utf8).withUnsafeBytes { head.parse($0, answering: request) })
}

extension RequestHead {
    /// A part of the head as text, while the head surely lives.
    func text(_ part: KeyPath<RequestHead, UnsafeRawBufferPointer?>) -> String? {
        withExtendedLifetime(self) { self[keyPath: part].map { String(decoding: $0, as: UTF8.self) } }
    }

    func text(_ part: KeyPath<RequestHead, UnsafeRawBufferPointer>) -> String {
        withExtendedLifetime(self) { String(decoding: self[keyPath: part], as: UTF8.self) }
    }

    /// All fields as text.
    var lines: [[String]] {
        withExtendedLifetime(self) {
            (0..<fields.count).map { index in
                [fields[index].name, fields[index].value].map { String(decoding: $0, as: UTF8.self) }
            }
        }
    }

    func first(_ name: StaticString) -> String? {
        withExtendedLifetime(self) { fields.value(named: name).map { String(decoding: $0, as: UTF8.self) } }
    }

    func first(_ known: KnownField) -> String? {
        withExtendedLifetime(self) { fields.value(of: known).map { String(decoding: $0, as: UTF8.self) } }
    }
}

extension HeadWriter {
    var text: String { withExtendedLifetime(self) { String(decoding: bytes, as: UTF8.self) } }
}

/// The head that goes out for these bytes; `client` is the address for X-Forwarded-For.
func rewritten(_ request: String, client: String = "", _ change: (inout RequestRewrite) -> Void = { _ in }) -> String {
    let (head, fault) = parseRequest(request)
    if let fault { return "fault: \(fault)" }
    let writer = HeadWriter()
    var rewrite = RequestRewrite()
    change(&rewrite)
    Array(client.utf8).withUnsafeBytes {
        rewrite.clientAddress = $0
        head.write(rewrite, to: writer)
    }
    return writer.text
}

/// The response head that goes out for these bytes.
func rewritten(
    response: String, answering request: RequestTraits = RequestTraits(), _ change: (inout ResponseRewrite) -> Void = { _ in }
) -> String {
    let (head, fault) = parseResponse(response, answering: request)
    if let fault { return "fault: \(fault)" }
    let writer = HeadWriter()
    var rewrite = ResponseRewrite()
    change(&rewrite)
    head.write(rewrite, to: writer)
    return writer.text
}
