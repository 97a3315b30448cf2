// SPDX-License-Identifier: MIT
// What a request head looks like behind a node:
// byte for byte, but for the lines that belong to the hop.

import Testing

@testable import PikoCore

@Suite struct HTTPRequestRewriteTests {
    /// What goes out of lines behind a plain request line and Host; only those lines.
    private func lines(_ sent: String, client: String = "", _ change: (inout RequestRewrite) -> Void = { _ in }) -> String {
        let start = "GET /p HTTP/1.1\r\nHost: svc.example.com\r\n"
        let got = rewritten(start + sent + "\r\n", client: client, change)
        #expect(got.hasPrefix(start) && got.hasSuffix("\r\n\r\n"))
        return String(got.dropFirst(start.count).dropLast())
    }

    @Test("request rewrite: lines stay byte for byte and in order, the node's own follow")
    func bytesStay() {
        let sent =
            "GET /a%2F/../b?x=%zz HTTP/1.1\r\nhOsT: My.example.com:80\r\nX-A:  two  words\t\r\nx-a:\r\nCookie: a=1\r\n\r\n"
        let got = rewritten(sent, client: "192.0.2.7") {
            $0.proto = .http
            $0.addsForwardedHost = true
            $0.marksForward = true
        }
        #expect(
            got == sent.dropLast() + "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"
                + "X-Forwarded-Host: My.example.com:80\r\nx-piko-forward: true\r\n\r\n")
    }

    @Test("request rewrite: the path of a service stands in front, with one slash between", arguments: [
        ("GET /", "GET /base/"), ("GET /a//b?x=/", "GET /base/a//b?x=/"), ("GET http://h/p", "GET /base/p"), ("GET http://h", "GET /base/"),
        ("GET http://h?q", "GET /base/?q"), ("OPTIONS *", "OPTIONS *"), ("OPTIONS http://h", "OPTIONS *"),
    ])
    func prefix(line: String, goesOn: String) {
        Array("/base".utf8).withUnsafeBytes { base in
            #expect(rewritten("\(line) HTTP/1.1\r\nHost: h\r\n\r\n") { $0.pathPrefix = base } == "\(goesOn) HTTP/1.1\r\nHost: h\r\n\r\n")
        }
    }

    @Test("request rewrite: hop-by-hop fields go, wherever they are")
    func hopByHop() {
        #expect(
            lines(
                "Connection: keep-alive\r\nA: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nB: 2\r\nTE: gzip\r\nUpgrade: h2c\r\n"
                    + "Proxy-Authorization: Basic x\r\nProxy-Authenticate: y\r\nC: 3\r\nConnection: close\r\n")
                == "A: 1\r\nB: 2\r\nC: 3\r\n")
    }

    @Test("request rewrite: what Connection nominates goes, however it is spelled")
    func nominations() {
        #expect(lines("Connection: x-gone, , X-Two\r\nX-GONE: 1\r\nStays: 1\r\nx-two: 2\r\nX-Gone: 3\r\n") == "Stays: 1\r\n")
        #expect(lines("X-Gone: 1\r\nStays: 1\r\nConnection: X-Gone\r\n") == "Stays: 1\r\n")
    }

    @Test("request rewrite: Connection cannot take away what the far end needs")
    func nominationsBounded() {
        let kept =
            "Content-Length: 3\r\nAuthorization: a\r\nX-Forwarded-For: 1\r\nX-Forwarded-Host: h\r\nX-Forwarded-Proto: p\r\n"
            + "x-piko-endpoint: e\r\nx-piko-tenant-id: t\r\nCookie: c\r\nContent-Type: t\r\n"
        let named =
            "Connection: host, content-length, authorization, x-forwarded-for, x-forwarded-host, x-forwarded-proto, "
            + "x-piko-endpoint, x-piko-tenant-id, cookie, content-type, expect\r\n"
        #expect(lines(named + kept + "Expect: 100-continue\r\n") == kept + "Expect: 100-continue\r\n")
        #expect(
            lines("Transfer-Encoding: chunked\r\nTrailer: x\r\nConnection: transfer-encoding, trailer\r\n")
                == "Transfer-Encoding: chunked\r\nTrailer: x\r\n")
    }

    @Test("request rewrite: X-Forwarded-For is one line with the client at its end")
    func forwardedFor() {
        #expect(lines("A: 1\r\n", client: "::1") == "A: 1\r\nX-Forwarded-For: ::1\r\n")
        #expect(
            lines("x-forwarded-FOR:  1.1.1.1, 2.2.2.2 \r\nA: 1\r\n", client: "3.3.3.3")
                == "x-forwarded-FOR: 1.1.1.1, 2.2.2.2, 3.3.3.3\r\nA: 1\r\n")
        #expect(
            lines("X-Forwarded-For: 1\r\nA: 1\r\nx-forwarded-for:\r\nX-Forwarded-For: 2\r\n", client: "3")
                == "X-Forwarded-For: 1, 2, 3\r\nA: 1\r\n")
        #expect(lines("X-Forwarded-For: 1\r\nX-Forwarded-For: 2\r\n") == "X-Forwarded-For: 1\r\nX-Forwarded-For: 2\r\n")
    }

    @Test("request rewrite: X-Forwarded-Proto and -Host that are there stay")
    func forwardedElse() {
        let sent = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: first.example.com\r\n"
        #expect(lines(sent) { ($0.proto, $0.addsForwardedHost) = (.http, true) } == sent)
        #expect(lines("") { $0.proto = .https } == "X-Forwarded-Proto: https\r\n")
    }

    @Test("request rewrite: the mark is never the client's, the token never reaches the service")
    func controlFields() {
        let sent = "x-piko-forward: false\r\nX-Piko-Authorization: Bearer t\r\nAuthorization: Bearer u\r\nauthorization: v\r\n"
        #expect(lines(sent) == "Authorization: Bearer u\r\nauthorization: v\r\n")
        #expect(lines(sent) { ($0.removesAuthorization, $0.marksForward) = (true, true) } == "x-piko-forward: true\r\n")
    }

    @Test("request rewrite: an upgrade is kept in every spelling")
    func upgrade() {
        let after = "Upgrade: WebSocket\r\nSec-WebSocket-Key: k\r\nConnection: Upgrade\r\n"
        for connection in ["Upgrade", "keep-alive, Upgrade", "upgrade", "UPGRADE ,close", "a\r\nConnection: uPgrade"] {
            #expect(lines("Connection: \(connection)\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: k\r\n") == after)
        }
        #expect(
            lines("Upgrade: a\r\nX: 1\r\nUpgrade: b\r\nConnection: upgrade\r\n") { $0.connection = .close }
                == "Upgrade: a\r\nX: 1\r\nUpgrade: b\r\nConnection: Upgrade, close\r\n")
        #expect(
            lines("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n")
                == "Upgrade: h2c\r\nHTTP2-Settings: AAMA\r\nConnection: Upgrade, HTTP2-Settings\r\n")
        #expect(lines("Connection: HTTP2-Settings\r\nHTTP2-Settings: AAMA\r\n") == "")
    }

    @Test("request rewrite: TE keeps trailers and nothing else")
    func trailers() {
        #expect(lines("TE: gzip;q=0.5, trailers\r\nConnection: TE\r\n") == "TE: trailers\r\nConnection: TE\r\n")
        #expect(lines("TE: gzip\r\nConnection: TE\r\n") == "")
    }

    @Test("request rewrite: Connection says what it is told")
    func connection() {
        #expect(lines("") { $0.connection = .close } == "Connection: close\r\n")
        #expect(lines("") { $0.connection = .keepAlive } == "Connection: keep-alive\r\n")
    }

    @Test("request rewrite: targets go out in origin form")
    func targets() {
        let rows = [
            ("GET http://a.b/x?y", "GET /x?y"), ("GET http://a.b", "GET /"), ("GET http://a.b?q", "GET /?q"),
            ("OPTIONS http://a.b", "OPTIONS *"),
            ("OPTIONS http://a.b/", "OPTIONS /"), ("OPTIONS http://a.b?q", "OPTIONS /?q"), ("OPTIONS *", "OPTIONS *"),
            ("GET //x", "GET //x"),
        ]
        for (sent, expected) in rows {
            #expect(rewritten("\(sent) HTTP/1.1\r\nHost: a.b\r\n\r\n") == "\(expected) HTTP/1.1\r\nHost: a.b\r\n\r\n")
        }
        #expect(rewritten("CONNECT a.b:1 HTTP/1.1\r\nHost: a.b:1\r\n\r\n") == "CONNECT a.b:1 HTTP/1.1\r\nHost: a.b:1\r\n\r\n")
    }

    @Test("request rewrite: HTTP/1.0 goes out as HTTP/1.1 with a Host")
    func oldVersion() {
        #expect(
            rewritten("GET / HTTP/1.0\r\nX: 1\r\nExpect: 100-continue\r\n\r\n")
                == "GET / HTTP/1.1\r\nHost: localhost\r\nX: 1\r\n\r\n")
        #expect(rewritten("GET http://a.b:7/ HTTP/1.0\r\n\r\n") == "GET / HTTP/1.1\r\nHost: a.b:7\r\n\r\n")
        #expect(
            rewritten("GET / HTTP/1.0\r\nx-piko-endpoint: e\r\n\r\n")
                == "GET / HTTP/1.1\r\nHost: e\r\nx-piko-endpoint: e\r\n\r\n")
        #expect(rewritten("GET / HTTP/1.0\r\nx-piko-endpoint: e f\r\n\r\n").hasPrefix("GET / HTTP/1.1\r\nHost: localhost\r\n"))
        #expect(
            rewritten("GET / HTTP/1.0\r\nHost: c.d\r\nConnection: keep-alive\r\n\r\n") == "GET / HTTP/1.1\r\nHost: c.d\r\n\r\n")
    }
}
