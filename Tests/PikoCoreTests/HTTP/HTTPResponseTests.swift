// SPDX-License-Identifier: MIT
// Responses: what they mean given their request, what is refused as 502, what reaches the client,
// and the answers of a node itself.

import Testing

@testable import PikoCore

@Suite struct HTTPResponseTests {
    private func asked(_ method: KnownMethod = .get, upgrade: Bool = false) -> RequestTraits {
        var request = RequestTraits()
        request.method = method
        request.isUpgrade = upgrade
        return request
    }

    @Test("response: where the body ends depends on status, request and fields")
    func framing() {
        let rows: [(String, KnownMethod, BodyFraming)] = [
            ("200 OK\r\n", .get, .untilClose), ("200 OK\r\nContent-Length: 5\r\n", .get, .length(5)),
            ("200 OK\r\nContent-Length: 0\r\n", .get, .empty),
            ("200 OK\r\nTransfer-Encoding: chunked\r\n", .get, .chunked), ("200 OK\r\nContent-Length: 5\r\n", .head, .empty),
            ("200 OK\r\nTransfer-Encoding: chunked\r\n", .head, .empty), ("200 OK\r\n", .head, .empty),
            ("204 No Content\r\n", .get, .empty),
            ("204 No Content\r\nContent-Length: 0\r\n", .get, .empty),
            ("304 Not Modified\r\nContent-Length: 5\r\n", .get, .empty),
            ("304 Not Modified\r\n", .get, .empty), ("100 Continue\r\n", .post, .empty),
            ("103 Early Hints\r\nLink: x\r\n", .get, .empty),
            ("404 No\r\nContent-Length: 3\r\n", .connect, .length(3)), ("200 OK\r\n", .connect, .empty),
            ("999 x\r\n", .get, .untilClose),
        ]
        for (lines, method, expected) in rows {
            let (head, fault) = parseResponse("HTTP/1.1 \(lines)\r\n", answering: asked(method))
            #expect(fault == nil && head.traits.framing == expected, "\(lines) to \(method)")
        }
    }

    @Test("response: the service's connection goes on only where nothing is in doubt")
    func keepAlive() {
        let rows: [(String, Bool)] = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n", false),
            ("HTTP/1.1 200 OK\r\n", false), ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n", false), ("HTTP/1.1 304 x\r\n", true),
            ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n", true),
            ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", false),
        ]
        for (head, expected) in rows { #expect(parseResponse(head + "\r\n").head.traits.keepAlive == expected, "\(head)") }
        var upgrade = asked(.post, upgrade: true)
        #expect(parseResponse(rows[0].0 + "\r\n", answering: upgrade).head.traits.keepAlive)
        upgrade.framing = .length(3)
        #expect(!parseResponse(rows[0].0 + "\r\n", answering: upgrade).head.traits.keepAlive)
    }

    @Test("response: a refusal is a 502 or 503 that says so, and no client is told")
    func refusals() {
        let rows: [(String, Bool)] = [
            ("502 x\r\nx-piko-refused: 1\r\n", true), ("503 x\r\nX-Piko-Refused: 1\r\n", true), ("502 x\r\n", false),
            ("500 x\r\nx-piko-refused: 1\r\n", false), ("502 x\r\nx-piko-refused: 0\r\n", false),
        ]
        for (lines, expected) in rows {
            let head = parseResponse("HTTP/1.1 \(lines)A: b\r\n\r\n").head
            #expect(head.traits.isRefused == expected, "\(lines)")
            let writer = HeadWriter()
            head.write(ResponseRewrite(), to: writer)
            #expect(!writer.text.lowercased().contains("refused") && writer.text.hasSuffix("A: b\r\n\r\n"))
        }
        let writer = HeadWriter()
        ErrorResponse.append(status: 502, text: "t", connection: .implied, isRefusal: true, to: writer)
        #expect(writer.text.contains("\r\nx-piko-refused: 1\r\n"))
    }

    @Test("response: loops are named to a node that forwards, and a service cannot name any")
    func loops() {
        let head = parseResponse("HTTP/1.1 200 OK\r\nx-piko-loops: 7\r\nA: b\r\n\r\n").head
        for (loops, line) in [([Int](), ""), ([0, 2], "x-piko-loops: 0, 2\r\n")] {
            let writer = HeadWriter()
            var rewrite = ResponseRewrite()
            rewrite.loops = loops
            head.write(rewrite, to: writer)
            #expect(writer.text == "HTTP/1.1 200 OK\r\nA: b\r\n\(line)\r\n")
        }
        let writer = HeadWriter()
        ErrorResponse.append(status: 502, text: "t", connection: .implied, isRefusal: true, loops: [1], to: writer)
        #expect(writer.text.contains("\r\nx-piko-loops: 1\r\n"))
    }

    @Test("response: interim heads and upgrades are told apart")
    func kinds() {
        let interim = parseResponse("HTTP/1.1 103 Early Hints\r\n\r\n").head.traits
        #expect(interim.isInterim && !interim.isUpgrade)
        let (head, fault) = parseResponse(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", answering: asked(upgrade: true))
        #expect(fault == nil && head.traits.isUpgrade && !head.traits.isInterim && !head.traits.keepAlive)
        #expect(parseResponse("HTTP/1.1 200 OK\r\n\r\n", answering: asked(.connect)).head.traits.isUpgrade)
    }

    static let refused: [RefusedRow] = [
        .init("HTTP/1.1 101 x\r\nUpgrade: a\r\n", .unexpectedUpgrade),
        .init("HTTP/1.1 204 x\r\nContent-Length: 5\r\n", .bodyNotAllowed),
        .init("HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n", .bodyNotAllowed),
        .init("HTTP/1.1 100 x\r\nContent-Length: 5\r\n", .bodyNotAllowed),
        .init("HTTP/1.0 200 x\r\nTransfer-Encoding: chunked\r\n", .transferEncodingInHTTP10),
        .init("HTTP/1.1 200 x\r\nContent-Length: 5\r\nContent-Length: 5\r\n", .repeatedLength),
        .init("HTTP/1.1 200 x\r\nContent-Length: 5, 5\r\n", .badLength),
        .init("HTTP/1.1 200 x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", .lengthWithChunked),
        .init("HTTP/1.1 304 x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", .lengthWithChunked),
        .init("HTTP/1.1 200 x\r\nTransfer-Encoding: gzip\r\n", .unsupportedTransferCoding),
        .init("HTTP/1.1 200 x\r\nX : 1\r\n", .badFieldName),
        .init("HTTP/1.1 200 x\r\nX: 1\r\n 2\r\n", .foldedLine),
        .init("HTTP/1.1 200 x\r\nX: \u{01}\r\n", .badFieldValue),
        .init("HTTP/1.1 200 x\nX: 1\r\n", .badLineEnd),
        .init("HTTP/1.1 200 x\ry\r\n", .badLineEnd),
        .init("HTTP/1.1 200 \u{01}\r\n", .badReason),
        .init("HTTP/1.1  200 x\r\n", .badStatus),
        .init("HTTP/1.1 20 x\r\n", .badStatus),
        .init("HTTP/1.1 2000 x\r\n", .badStatus),
        .init("HTTP/1.1 099 x\r\n", .badStatus),
        .init("HTTP/1.1 +20 x\r\n", .badStatus),
        .init("HTTP/1.1 200\tx\r\n", .badStatus),
        .init("HTTP/1.1\r\n", .badVersion),
        .init("HTTP/1.2 200 x\r\n", .unsupportedVersion),
        .init("HTTP/2.0 200 x\r\n", .unsupportedVersion),
        .init("ICY 200 OK\r\n", .badVersion),
        .init("http/1.1 200 OK\r\n", .badVersion),
        .init(" HTTP/1.1 200 OK\r\n", .badVersion),
        .init("\r\nHTTP/1.1 200 OK\r\n", .badVersion),
    ]

    @Test("response: the service's heads are held to the same rules", arguments: refused)
    func refusedResponse(_ row: RefusedRow) {
        #expect(parseResponse(row.head + "\r\n").fault == row.fault)
    }

    @Test("response: bounds hold, and a request's own fields mean nothing in it")
    func boundsAndOthers() {
        let head = "HTTP/1.1 200 OK\r\nHost: a\r\nHost: b\r\nExpect: x\r\nContent-Length: 0\r\n\r\n"
        #expect(parseResponse(head).fault == nil)
        #expect(parseResponse(head, limits: HeadLimits(fields: 3)).fault == .tooManyFields)
        #expect(parseResponse(head, limits: HeadLimits(bytes: 20)).fault == .headTooLarge)
    }

    @Test("response: cut anywhere it is refused")
    func cutAnywhere() {
        let head = "HTTP/1.1 200 Fine words\r\nContent-Length: 12\r\nConnection: x\r\nX: 1\r\n\r\n"
        for count in 0..<head.utf8.count {
            #expect(parseResponse(String(decoding: Array(head.utf8)[..<count], as: UTF8.self)).fault != nil)
        }
        #expect(parseResponse(head).fault == nil)
    }

    @Test("response rewrite: lines stay byte for byte, those of the hop go")
    func rewrite() {
        let sent =
            "HTTP/1.1 299 caf\u{e9}  ole\r\nSet-Cookie: a\r\nset-cookie:  b \r\nX-Gone: 1\r\nConnection: keep-alive, x-gone, set-cookie\r\n"
            + "Keep-Alive: 5\r\nUpgrade: h2\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n"
        #expect(
            rewritten(response: sent) == "HTTP/1.1 299 caf\u{e9}  ole\r\nSet-Cookie: a\r\nset-cookie:  b \r\n"
                + "Transfer-Encoding: chunked\r\nTrailer: T\r\n\r\n")
        #expect(
            rewritten(response: sent) { ($0.connection, $0.removesChunks) = (.close, true) }
                == "HTTP/1.1 299 caf\u{e9}  ole\r\nSet-Cookie: a\r\nset-cookie:  b \r\nConnection: close\r\n\r\n")
    }

    @Test("response rewrite: the version is ours, the status line always has its spaces")
    func statusLine() {
        for line in ["HTTP/1.0 200 ", "HTTP/1.1 200", "HTTP/1.1 200 "] {
            #expect(
                rewritten(response: line + "\r\nContent-Length: 0\r\n\r\n") { $0.connection = .keepAlive }
                    == "HTTP/1.1 200 \r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n")
        }
    }

    @Test("response rewrite: an upgrade is kept with 101 and 426")
    func upgrade() {
        let sent = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"
        let kept = "Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\nConnection: Upgrade"
        #expect(
            rewritten(response: "HTTP/1.1 101 S\r\n" + sent, answering: asked(upgrade: true)) == "HTTP/1.1 101 S\r\n" + kept
                + "\r\n\r\n")
        #expect(
            rewritten(response: "HTTP/1.1 426 U\r\n" + sent) { $0.connection = .close } == "HTTP/1.1 426 U\r\n" + kept
                + ", close\r\n\r\n")
    }

    @Test("error answers are JSON, and their length is right")
    func errors() {
        let writer = HeadWriter()
        ErrorResponse.append(status: 502, text: "no available upstreams", connection: .implied, to: writer)
        #expect(
            writer.text == "HTTP/1.1 502 Bad Gateway\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\n"
                + "content-length: 34\r\n\r\n{\"error\":\"no available upstreams\"}")
        writer.clear()
        ErrorResponse.append(status: 400, text: "malformed host header", connection: .close, to: writer)
        #expect(
            writer.text == "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\n"
                + "content-length: 33\r\nConnection: close\r\n\r\n{\"error\":\"malformed host header\"}")
        writer.release()
        ErrorResponse.append(status: 504, text: "t", connection: .implied, omitsBody: true, to: writer)
        #expect(writer.text.hasSuffix("content-length: 13\r\n\r\n"))
        writer.clear()
        ErrorResponse.append(status: 426, text: "t", connection: .close, to: writer)
        #expect(writer.text.contains("\r\nupgrade: websocket\r\nConnection: Upgrade, close\r\n"))
    }

    @Test("head writer: grows with what is written, and shrinks on release")
    func writer() {
        let writer = HeadWriter()
        for number in [0, 7, 10, 99, 12345, UInt64.max] {
            writer.clear()
            writer.append(number: number)
            #expect(writer.text == "\(number)")
        }
        writer.clear()
        for _ in 0..<1000 { writer.field("name", "value") }
        #expect(writer.count == 13_000 && writer.text.hasSuffix("value\r\nname: value\r\n"))
        writer.release()
        #expect(writer.count == 0)
    }
}
