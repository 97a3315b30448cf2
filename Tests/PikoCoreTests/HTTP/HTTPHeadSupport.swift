// SPDX-License-Identifier: MIT
// What the tests of heads share: heads from text, and what is in them as text again.

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

func text(_ bytes: UnsafeRawBufferPointer?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

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
    return String(decoding: writer.bytes, as: UTF8.self)
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
    return String(decoding: writer.bytes, as: UTF8.self)
}
