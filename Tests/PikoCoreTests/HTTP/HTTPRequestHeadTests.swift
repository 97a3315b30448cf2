// SPDX-License-Identifier: MIT
// What an accepted request head means:
// framing, connection, target, host and endpoint.

import Testing

@testable import PikoCore

@Suite struct HTTPRequestHeadTests {
    /// Parses a request that must be fine; `lines` follow the Host line.
    private func request(_ line: String = "POST /p HTTP/1.1", _ lines: String = "", host: String? = "svc.example.com")
        -> RequestHead
    {
        let (head, fault) = parseRequest(line + "\r\n" + (host.map { "Host: \($0)\r\n" } ?? "") + lines + "\r\n")
        #expect(fault == nil)
        return head
    }

    @Test("request: start line and fields are found as they were sent")
    func parts() {
        let head = request("PaTcH /a?b=c HTTP/1.1", "X-One:\t one  \r\nx-empty:\r\nX-Obs: caf\u{e9}\r\n")
        #expect(head.text(\.method) == "PaTcH")
        #expect(head.traits.method == .other)
        #expect(head.text(\.targetAsSent) == "/a?b=c")
        #expect(head.text(\.pathAndQuery) == "/a?b=c")
        #expect(head.lines == [["Host", "svc.example.com"], ["X-One", "one"], ["x-empty", ""], ["X-Obs", "caf\u{e9}"]])
        #expect(head.first("x-empty") == "" && head.first("x-obs") == "caf\u{e9}")
        #expect(head.fields.value(named: "x-none") == nil)
        #expect(head.fields.value(of: .cookie) == nil)
    }

    @Test("request: methods are known by their exact spelling")
    func methods() {
        let known: [(String, KnownMethod)] = [
            ("GET", .get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("DELETE", .delete), ("OPTIONS", .options),
            ("TRACE", .trace), ("PATCH", .patch), ("get", .other), ("PROPFIND", .other), ("M-SEARCH", .other),
            ("!#$%&'*+-.^_`|~", .other),
        ]
        for (method, expected) in known { #expect(request("\(method) / HTTP/1.1").traits.method == expected) }
        #expect(request("CONNECT a.b:1 HTTP/1.1", host: "a.b:1").traits.method == .connect)
    }

    @Test("request: the end of the body")
    func framing() {
        let biggest = UInt64(Int64.max)
        let rows: [(String, BodyFraming)] = [
            ("", .empty), ("Content-Length: 0\r\n", .empty), ("Content-Length: 12\r\n", .length(12)),
            ("Content-Length: 007\r\n", .length(7)),
            ("Content-Length: \(biggest)\r\n", .length(biggest)), ("Content-Length:  3  \r\n", .length(3)),
            ("Transfer-Encoding: chunked\r\n", .chunked), ("transfer-ENCODING:  CHUNKED \r\n", .chunked),
        ]
        for (lines, expected) in rows { #expect(request("POST / HTTP/1.1", lines).traits.framing == expected) }
    }

    @Test("request: whether the client goes on with the connection")
    func keepAlive() {
        let rows: [(String, String, Bool)] = [
            ("1.1", "", true), ("1.0", "", false), ("1.1", "Connection: close\r\n", false),
            ("1.1", "Connection: Close\r\n", false),
            ("1.0", "Connection: keep-alive\r\n", true), ("1.0", "Connection: Keep-Alive\r\n", true),
            ("1.0", "Connection: keep-alive, close\r\n", false), ("1.1", "Connection: x,\r\nConnection: , close ,\r\n", false),
            ("1.1", "Connection: closed\r\n", true), ("1.1", "Proxy-Connection: Close\r\n", false),
            ("1.0", "Proxy-Connection: keep-alive\r\n", false), ("1.1", "Connection:\r\n", true),
        ]
        for (version, lines, expected) in rows {
            #expect(request("GET / HTTP/\(version)", lines).traits.keepAlive == expected, "\(lines)")
        }
    }

    @Test("request: an upgrade in every spelling")
    func upgrade() {
        let rows: [(String, Bool)] = [
            ("Connection: Upgrade\r\nUpgrade: websocket\r\n", true),
            ("Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n", true),
            ("CONNECTION: UPGRADE\r\nUPGRADE: WebSocket\r\n", true),
            ("Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: h2c, foo/2\r\n", true),
            ("connection:upgrade , close\r\nupgrade:a\r\nupgrade:b\r\n", true),
            ("Upgrade: websocket\r\n", false),
            ("Connection: Upgrade\r\n", false),
            ("Connection: upgraded\r\nUpgrade: websocket\r\n", false),
        ]
        for (lines, expected) in rows { #expect(request("GET / HTTP/1.1", lines).traits.isUpgrade == expected, "\(lines)") }
        #expect(!request("GET / HTTP/1.0", rows[0].0).traits.isUpgrade)
        #expect(request("GET / HTTP/1.1", rows[1].0).first(.upgrade) == "websocket")
    }

    @Test("request: expectation, trailers and the mark of a forwarded request")
    func otherTraits() {
        let traits = request("POST / HTTP/1.1", "Expect: 100-Continue\r\nTE: deflate, Trailers\r\nx-piko-forward: true\r\n")
            .traits
        #expect(traits.expectsContinue && traits.acceptsTrailers && traits.claimsForward)
        let none = request("POST / HTTP/1.0", "Expect: 100-continue\r\nTE: trailersx\r\nx-piko-forward: 1\r\n").traits
        #expect(!none.expectsContinue && !none.acceptsTrailers && !none.claimsForward)
    }

    @Test("request: the endpoint is the first label of the host")
    func endpointFromHost() {
        let rows: [(String, String?)] = [
            ("svc.example.com", "svc"), ("SVC.example.com:8000", "SVC"), ("svc.", "svc"), ("my_svc-1.b", "my_svc-1"),
            ("localhost", nil),
            ("localhost:8000", nil), ("192.0.2.1", nil), ("192.0.2.1:80", nil), ("[::1]:80", nil), ("[::ffff:192.0.2.1]", nil),
            ("192.0.2.256", "192"), ("192.0.2", "192"), ("1.2.3.4.5", "1"), ("1.2.3.4a", "1"),
        ]
        for (host, expected) in rows {
            let head = request("GET / HTTP/1.1", host: host)
            #expect(head.text(\.endpoint) == expected, "\(host)")
            #expect(head.endpointIsFromHost == (expected != nil))
            #expect(head.text(\.host) == host)
        }
    }

    @Test("request: x-piko-endpoint goes before the host, unless it is empty")
    func endpointFromField() {
        let named = request("GET / HTTP/1.1", "X-Piko-Endpoint: mine\r\n")
        #expect(named.text(\.endpoint) == "mine" && !named.endpointIsFromHost)
        #expect(request("GET / HTTP/1.1", "x-piko-endpoint:\r\n").text(\.endpoint) == "svc")
        #expect(request("GET / HTTP/1.0", "x-piko-endpoint: mine\r\n", host: nil).text(\.endpoint) == "mine")
        #expect(request("GET / HTTP/1.0", host: nil).endpoint == nil)
    }

    @Test("request: an absolute target must agree with Host and is passed on as a path")
    func absoluteTarget() {
        let rows: [(String, String, String)] = [
            ("http://svc.example.com/a?b", "svc.example.com", "/a?b"), ("HTTP://SVC.example.com:80/", "svc.EXAMPLE.com", "/"),
            ("http://svc.example.com", "svc.example.com:80", ""), ("https://svc.example.com?q", "svc.example.com:443", "?q"),
            ("http://[::1]:8000/x", "[::1]:8000", "/x"),
        ]
        for (target, host, path) in rows {
            let head = request("GET \(target) HTTP/1.1", host: host)
            #expect(head.text(\.pathAndQuery) == path && head.text(\.targetAsSent) == target)
        }
        let old = request("GET http://svc.example.com:81/ HTTP/1.0", host: nil)
        #expect(old.text(\.host) == "svc.example.com:81" && old.text(\.endpoint) == "svc")
    }

    @Test("request: a head is forgotten when the next one is parsed, and after a refused one nothing is left")
    func reuse() {
        let head = RequestHead()
        func parse(_ text: String) -> HeadFault? { Array(text.utf8).withUnsafeBytes { head.parse($0) } }
        let long = String(repeating: "v", count: 100_000)
        let many = (0..<100).map { "X-\($0): \($0)\r\n" }.joined()
        #expect(
            parse("POST / HTTP/1.1\r\nHost: a.b\r\nx-piko-endpoint: e\r\nContent-Length: 3\r\nV: \(long)\r\n\(many)\r\n") == nil
        )
        #expect(head.fields.count == 104 && head.fields.value(of: .contentLength) != nil)
        #expect(head.first("v") == long && head.lines[103] == ["X-99", "99"])
        head.release()
        #expect(parse("GET / HTTP/1.1\r\nHost: c.d\r\n\r\n") == nil)
        #expect(head.fields.count == 1 && head.traits.framing == .empty && head.text(\.endpoint) == "c")
        #expect(parse("GET / HTTP/1.1\r\nHost: c.d\r\nBad\r\n\r\n") == .badFieldName)
        #expect(head.fields.count == 0 && head.traits == RequestTraits())
    }
}
