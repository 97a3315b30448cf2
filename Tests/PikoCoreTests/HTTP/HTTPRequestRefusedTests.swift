// SPDX-License-Identifier: MIT
// Every request head on which two parsers could disagree is refused, with the reason.
// One row, one way to disagree.

import Testing

@testable import PikoCore

/// A row of a table of heads: bytes behind a request line that is fine, and why they are refused.
struct RefusedRow: CustomTestStringConvertible, Sendable {
    let head: String
    let fault: HeadFault
    init(_ head: String, _ fault: HeadFault) { (self.head, self.fault) = (head, fault) }
    var testDescription: String { "\(head.debugDescription) is \(fault)" }
}

@Suite struct HTTPRequestRefusedTests {
    static let framing: [RefusedRow] = [
        .init("Content-Length: 5\r\nContent-Length: 6\r\n", .repeatedLength),
        .init("Content-Length: 5\r\nContent-Length: 5\r\n", .repeatedLength),
        .init("Content-Length: 5\r\ncontent-length: 5\r\n", .repeatedLength),
        .init("Content-Length: 5, 5\r\n", .badLength),
        .init("Content-Length: 5,6\r\n", .badLength),
        .init("Content-Length: +5\r\n", .badLength),
        .init("Content-Length: -5\r\n", .badLength),
        .init("Content-Length: 0x5\r\n", .badLength),
        .init("Content-Length: 5 5\r\n", .badLength),
        .init("Content-Length: 5;\r\n", .badLength),
        .init("Content-Length: 5.0\r\n", .badLength),
        .init("Content-Length: 1e3\r\n", .badLength),
        .init("Content-Length: 1_000\r\n", .badLength),
        .init("Content-Length: \"5\"\r\n", .badLength),
        .init("Content-Length: \u{0665}\r\n", .badLength),
        .init("Content-Length:\r\n", .badLength),
        .init("Content-Length: \r\n", .badLength),
        .init("Content-Length:\t5\r\n", .badLength),
        .init("Content-Length: 5 \t\r\n", .badLength),
        .init("Content-Length: 9223372036854775808\r\n", .badLength),
        .init("Content-Length: 18446744073709551616\r\n", .badLength),
        .init("Content-Length: 18446744073709551621\r\n", .badLength),
        .init("Content-Length: 00000000000000000005\r\n", .badLength),
        .init("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", .lengthWithChunked),
        .init("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", .lengthWithChunked),
        .init("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", .lengthWithChunked),
        .init("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", .repeatedTransferEncoding),
        .init("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", .repeatedTransferEncoding),
        .init("Transfer-Encoding: chunked, chunked\r\n", .badTransferEncoding),
        .init("Transfer-Encoding: chunked, gzip\r\n", .badTransferEncoding),
        .init("Transfer-Encoding: chunked,\r\n", .badTransferEncoding),
        .init("Transfer-Encoding: ,chunked\r\n", .badTransferEncoding),
        .init("Transfer-Encoding: chunked;a=b\r\n", .badTransferEncoding),
        .init("Transfer-Encoding: \"chunked\"\r\n", .badTransferEncoding),
        .init("Transfer-Encoding: chunked chunked\r\n", .badTransferEncoding),
        .init("Transfer-Encoding:\r\n", .badTransferEncoding),
        .init("Transfer-Encoding:\tchunked\r\n", .badTransferEncoding),
        .init("Transfer-Encoding: chunked \t\r\n", .badTransferEncoding),
        .init("Transfer-Encoding: \u{0b}chunked\r\n", .badFieldValue),
        .init("Transfer-Encoding: gzip, chunked\r\n", .unsupportedTransferCoding),
        .init("Transfer-Encoding: identity\r\n", .unsupportedTransferCoding),
        .init("Transfer-Encoding: xchunked\r\n", .unsupportedTransferCoding),
        .init("Transfer-Encoding: chunke\r\n", .unsupportedTransferCoding),
    ]

    @Test("request: a body whose end is in doubt is refused", arguments: framing)
    func framingIsRefused(_ row: RefusedRow) {
        #expect(parseRequest("POST / HTTP/1.1\r\nHost: a.b\r\n" + row.head + "\r\n").fault == row.fault)
    }

    static let fields: [RefusedRow] = [
        .init("X : 1\r\n", .badFieldName),
        .init("X\t: 1\r\n", .badFieldName),
        .init(" X: 1\r\n", .foldedLine),
        .init("\tX: 1\r\n", .foldedLine),
        .init("X: 1\r\n 2\r\n", .foldedLine),
        .init("X: 1\r\n\t2\r\n", .foldedLine),
        .init(": 1\r\n", .badFieldName),
        .init("X\r\n", .badFieldName),
        .init("X y: 1\r\n", .badFieldName),
        .init("X(: 1\r\n", .badFieldName),
        .init("X@: 1\r\n", .badFieldName),
        .init("X\u{e9}: 1\r\n", .badFieldName),
        .init("X\0: 1\r\n", .badFieldName),
        .init("X\u{7f}: 1\r\n", .badFieldName),
        .init("\"X\": 1\r\n", .badFieldName),
        .init("X: a\0b\r\n", .badFieldValue),
        .init("X: a\u{01}b\r\n", .badFieldValue),
        .init("X: a\u{0b}b\r\n", .badFieldValue),
        .init("X: a\u{0c}b\r\n", .badFieldValue),
        .init("X: a\u{1b}b\r\n", .badFieldValue),
        .init("X: a\u{7f}b\r\n", .badFieldValue),
        .init("X: \0\r\n", .badFieldValue),
        .init("X: a\rb\r\n", .badLineEnd),
        .init("X: a\r\r\n", .badLineEnd),
        .init("X: a\nY: b\r\n", .badLineEnd),
        .init("X: a\n", .badLineEnd),
        .init("\nX: a\r\n", .badLineEnd),
        .init("\rX: a\r\n", .badLineEnd),
        .init("Connection: clo se\r\n", .badConnection),
        .init("Connection: \"close\"\r\n", .badConnection),
        .init("Connection: close;x\r\n", .badConnection),
        .init("Upgrade:\r\n", .badUpgrade),
        .init("Upgrade: \"websocket\"\r\n", .badUpgrade),
        .init("Expect: 200-ok\r\n", .unsupportedExpectation),
        .init("Expect: 100-continue, x\r\n", .unsupportedExpectation),
        .init("x-piko-endpoint: a\r\nX-Piko-Endpoint: b\r\n", .repeatedControlField),
        .init("x-piko-endpoint:\r\nx-piko-endpoint: b\r\n", .repeatedControlField),
        .init("x-piko-forward: true\r\nx-piko-forward: true\r\n", .repeatedControlField),
        .init("x-piko-authorization: Bearer a\r\nx-piko-authorization: Bearer b\r\n", .repeatedControlField),
        .init("x-piko-tenant-id: a\r\nx-piko-tenant-id: b\r\n", .repeatedControlField),
        .init("Content_Length: 5\r\n", .badFieldName),
        .init("transfer_encoding: chunked\r\n", .badFieldName),
        .init("X_Forwarded-For: 1.1.1.1\r\n", .badFieldName),
        .init("x_piko_endpoint: a\r\n", .badFieldName),
    ]

    @Test("request: a malformed field line is refused", arguments: fields)
    func fieldIsRefused(_ row: RefusedRow) {
        #expect(parseRequest("POST / HTTP/1.1\r\nHost: a.b\r\n" + row.head + "\r\n").fault == row.fault)
    }

    static let lines: [RefusedRow] = [
        .init("", .badMethod),
        .init("\r\nGET / HTTP/1.1", .badMethod),
        .init(" GET / HTTP/1.1", .badMethod),
        .init("GE\u{7f}T / HTTP/1.1", .badMethod),
        .init("G\0T / HTTP/1.1", .badMethod),
        .init("GET\t/ HTTP/1.1", .badMethod),
        .init("G(T / HTTP/1.1", .badMethod),
        .init("GÉT / HTTP/1.1", .badMethod),
        .init(String(repeating: "A", count: 65) + " / HTTP/1.1", .badMethod),
        .init("GET", .badMethod),
        .init("GET /", .badTarget),
        .init("GET  / HTTP/1.1", .badTarget),
        .init("GET /\tHTTP/1.1", .badTarget),
        .init("GET / x HTTP/1.1", .badVersion),
        .init("GET /  HTTP/1.1", .badVersion),
        .init("GET / HTTP/1.1 ", .badVersion),
        .init("GET /é HTTP/1.1", .badTarget),
        .init("GET /\u{01} HTTP/1.1", .badTarget),
        .init("GET /\0 HTTP/1.1", .badTarget),
        .init("GET /\u{7f} HTTP/1.1", .badTarget),
        .init("GET /a#b HTTP/1.1", .badTarget),
        .init("GET a HTTP/1.1", .badTarget),
        .init("GET ?a HTTP/1.1", .badTarget),
        .init("GET * HTTP/1.1", .badTarget),
        .init("OPTIONS *x HTTP/1.1", .badTarget),
        .init("GET a.b:80 HTTP/1.1", .badTarget),
        .init("GET ftp://a.b/ HTTP/1.1", .badTarget),
        .init("GET http:/a.b/ HTTP/1.1", .badTarget),
        .init("GET http:// HTTP/1.1", .badTarget),
        .init("GET http:///x HTTP/1.1", .badTarget),
        .init("GET http://u@a.b/ HTTP/1.1", .badTarget),
        .init("GET http://a.b:x/ HTTP/1.1", .badTarget),
        .init("GET http://other.b/ HTTP/1.1", .hostMismatch),
        .init("GET http://a.b:81/ HTTP/1.1", .hostMismatch),
        .init("GET https://a.b:80/ HTTP/1.1", .hostMismatch),
        .init("CONNECT / HTTP/1.1", .badTarget),
        .init("CONNECT a.b HTTP/1.1", .badTarget),
        .init("CONNECT http://a.b/ HTTP/1.1", .badTarget),
        .init("CONNECT other.b:80 HTTP/1.1", .hostMismatch),
        .init("GET / HTTP/0.9", .unsupportedVersion),
        .init("GET / HTTP/1.2", .unsupportedVersion),
        .init("GET / HTTP/2.0", .unsupportedVersion),
        .init("GET / HTTP/3.1", .unsupportedVersion),
        .init("PRI / HTTP/2.0", .unsupportedVersion),
        .init("GET / http/1.1", .badVersion),
        .init("GET / HTTP/1.", .badVersion),
        .init("GET / HTTP/11", .badVersion),
        .init("GET / HTTP/1.10", .badVersion),
        .init("GET / HTTP/01.1", .badVersion),
        .init("GET / HTTP/1,1", .badVersion),
        .init("GET / HTTP/1.x", .badVersion),
        .init("GET / ICY/1.1", .badVersion),
        .init("GET / HTTPS/1.1", .badVersion),
        .init("GET / HTTP/1.1\u{01}", .badVersion),
    ]

    @Test("request: a malformed request line is refused", arguments: lines)
    func lineIsRefused(_ row: RefusedRow) {
        #expect(parseRequest(row.head + "\r\nHost: a.b\r\nX: 1\r\n\r\n").fault == row.fault)
    }

    @Test("request: the HTTP/2 preface is an unsupported version")
    func prefaceIsRefused() {
        let (_, fault) = parseRequest("PRI * HTTP/2.0\r\n\r\n")
        #expect(fault == .unsupportedVersion)
        #expect(fault?.status == 505)
    }

    static let hosts = [
        "", "a b", "a,b", "a/b", "a@b", "a.b:", "a.b:80:80", "a.b:x", "a.b:-1", "a.b:+80", "a.b:65536", "a.b:000080", ":80",
        ".b",
        "a..b", "a%2eb", "a\\b", "a?b", "a#b", "\"a\"", "é.b", "a;b", "http://a.b", "[", "[]", "[::1", "::1", "[::1]x",
        "[::1]:", "[::1]:x",
        "[fe80::1%25lo]", "[v1.a]", "[1:2:3:4:5:6:7:8:9:a]", "[::g]", "[::1]]", "a[::1]", "$", "*.b", "!a",
    ]

    @Test("request: a bad Host is refused", arguments: hosts)
    func hostIsRefused(_ host: String) {
        #expect(parseRequest("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n").fault == .badHost)
        #expect(parseRequest("GET / HTTP/1.0\r\nHost: \(host)\r\n\r\n").fault == .badHost)
    }

    @Test("request: no Host and two Hosts are refused")
    func hostCount() {
        #expect(parseRequest("GET / HTTP/1.1\r\n\r\n").fault == .missingHost)
        #expect(parseRequest("GET http://a.b/ HTTP/1.1\r\n\r\n").fault == .missingHost)
        #expect(parseRequest("GET / HTTP/1.1\r\nHost: a.b\r\nHost: a.b\r\n\r\n").fault == .repeatedHost)
        #expect(parseRequest("GET / HTTP/1.0\r\nHost: a.b\r\nhost: c.d\r\n\r\n").fault == .repeatedHost)
    }

    @Test("request: Transfer-Encoding in HTTP/1.0 is refused, and a body on CONNECT")
    func versionAndMethod() {
        #expect(parseRequest("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").fault == .transferEncodingInHTTP10)
        #expect(parseRequest("CONNECT a.b:1 HTTP/1.1\r\nHost: a.b:1\r\nContent-Length: 1\r\n\r\n").fault == .bodyNotAllowed)
        #expect(
            parseRequest("CONNECT a.b:1 HTTP/1.1\r\nHost: a.b:1\r\nTransfer-Encoding: chunked\r\n\r\n").fault == .bodyNotAllowed
        )
    }

    @Test("request: what is not exactly one head is refused")
    func notOneHead() {
        #expect(parseRequest("GET / HTTP/1.1\r\nHost: a.b\r\n\r\nX").fault == .bytesAfterEnd)
        #expect(parseRequest("GET / HTTP/1.1\nHost: a.b\n\n").fault == .badLineEnd)
        #expect(parseRequest("GET / HTTP/1.1\rHost: a.b\r\r").fault == .badLineEnd)
        #expect(parseRequest("GET /\r\n\r\n").fault == .badTarget)
    }

    @Test("request: bounds of bytes and fields are refusals with 431")
    func bounds() {
        let head = "GET / HTTP/1.1\r\nHost: a.b\r\nX: 1\r\nX: 2\r\n\r\n"
        #expect(parseRequest(head, limits: HeadLimits(bytes: head.utf8.count, fields: 3)).fault == nil)
        #expect(parseRequest(head, limits: HeadLimits(bytes: head.utf8.count - 1, fields: 3)).fault == .headTooLarge)
        #expect(parseRequest(head, limits: HeadLimits(fields: 2)).fault == .tooManyFields)
        #expect(HeadFault.headTooLarge.status == 431 && HeadFault.tooManyFields.status == 431)
        let name = String(repeating: "x", count: 65536)
        #expect(parseRequest("GET / HTTP/1.1\r\nHost: a.b\r\n\(name): 1\r\n\r\n").fault == .badFieldName)
    }

    @Test("faults: every one has a status from 400 and a text that fits into JSON", arguments: HeadFault.allCases)
    func faultTexts(_ fault: HeadFault) {
        let text = "\(fault.text)"
        #expect(fault.status >= 400 && fault.status < 600)
        #expect(!text.isEmpty && text != "malformed head")
        #expect(text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f && $0 != 0x22 && $0 != 0x5c })
    }
}
