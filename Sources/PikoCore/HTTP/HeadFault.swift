// SPDX-License-Identifier: MIT
// What can be wrong with a head: a peer's mistake is a value of this type, never a trap. Pure; any thread.
// It owns the reasons, the status a client is answered with and the one-line texts; it writes no log and sends nothing.

/// Why a head was refused. The connection it came on is closed after the answer: what follows on it cannot be trusted.
public enum HeadFault: UInt8, Error, Sendable, CaseIterable {
    // Lines (RFC 9112 2.2, 5).
    case incomplete, bytesAfterEnd, badLineEnd, foldedLine
    // Start line (RFC 9112 3, 4).
    case badMethod, badTarget, badVersion, unsupportedVersion, badStatus, badReason
    // Fields (RFC 9110 5).
    case badFieldName, badFieldValue, badConnection, badUpgrade, repeatedControlField
    // Where the request goes (RFC 9112 3.2).
    case missingHost, repeatedHost, badHost, hostMismatch
    // Where the body ends (RFC 9112 6).
    case badLength, repeatedLength, lengthWithChunked, badTransferEncoding, repeatedTransferEncoding
    case unsupportedTransferCoding, transferEncodingInHTTP10, bodyNotAllowed
    // Bounds and others.
    case headTooLarge, tooManyFields, unsupportedExpectation, unexpectedUpgrade

    /// The status a client's request is answered with. A service's head with any fault is a 502 to the client instead.
    public var status: UInt16 {
        switch self {
        case .headTooLarge, .tooManyFields: 431
        case .unsupportedTransferCoding: 501
        case .unsupportedVersion: 505
        case .unsupportedExpectation: 417
        default: 400
        }
    }

    /// One line for the `error` of the answer and for the log; lower case, plain ASCII without quotes.
    public var text: StaticString {
        switch self {
        case .incomplete: "head is incomplete"
        case .bytesAfterEnd: "bytes after the end of the head"
        case .badLineEnd: "line does not end in CRLF"
        case .foldedLine: "folded header line"
        case .badMethod: "malformed method"
        case .badTarget: "malformed request target"
        case .badVersion: "malformed http version"
        case .unsupportedVersion: "unsupported http version"
        case .badStatus: "malformed status line"
        case .badReason: "malformed reason phrase"
        default: fieldText
        }
    }

    private var fieldText: StaticString {
        switch self {
        case .badFieldName: "malformed header name"
        case .badFieldValue: "malformed header value"
        case .badConnection: "malformed connection header"
        case .badUpgrade: "malformed upgrade header"
        case .repeatedControlField: "repeated x-piko header"
        case .missingHost: "missing host header"
        case .repeatedHost: "repeated host header"
        case .badHost: "malformed host header"
        case .hostMismatch: "host header differs from the request target"
        default: framingText
        }
    }

    private var framingText: StaticString {
        switch self {
        case .badLength: "malformed content-length"
        case .repeatedLength: "repeated content-length"
        case .lengthWithChunked: "content-length with transfer-encoding"
        case .badTransferEncoding: "malformed transfer-encoding"
        case .repeatedTransferEncoding: "repeated transfer-encoding"
        case .unsupportedTransferCoding: "unsupported transfer coding"
        case .transferEncodingInHTTP10: "transfer-encoding in http/1.0"
        case .bodyNotAllowed: "message must not have a body"
        case .headTooLarge: "head too large"
        case .tooManyFields: "too many header lines"
        case .unsupportedExpectation: "unsupported expectation"
        case .unexpectedUpgrade: "upgrade without a request for it"
        default: "malformed head"
        }
    }
}
