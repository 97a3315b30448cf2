// SPDX-License-Identifier: MIT
// What a proxy's answer to CONNECT means, at every split.
// No sockets.

import Testing

@testable import PikoClient

@Suite struct ProxyAnswerTests {
    private enum Meaning: Equatable {
        case needsMore
        case open(Int)
        case failed(ProxyFailure)
    }

    private func read(_ text: String, firstPiece: Int) -> Meaning {
        var answer = ProxyAnswer()
        let bytes = Array(text.utf8)
        for count in [firstPiece, bytes.count] {
            switch bytes[..<count].withUnsafeBytes({ answer.read($0) }) {
            case .needsMore: continue
            case .open(let taken): return .open(taken)
            case .failed(let failure): return .failed(failure)
            }
        }
        return .needsMore
    }

    private func check(_ text: String, _ meaning: Meaning) {
        for piece in 0..<text.utf8.count { #expect(read(text, firstPiece: piece) == meaning, "\(text.prefix(40)) at \(piece)") }
    }

    @Test("proxy answer: 2xx of any version is open, and what follows the head is the server's")
    func open() {
        check("HTTP/1.1 200 Connection established\r\n\r\n", .open(39))
        check("HTTP/1.0 200 Connection established\r\nProxy-agent: tinyproxy/1.11.1\r\n\r\n", .open(70))
        check("HTTP/1.1 200\r\n\r\n", .open(16))
        check("HTTP/1.1 204 \r\n\r\nHTTP", .open(17))
    }

    @Test("proxy answer: a refusal has its status and words")
    func refused() {
        check("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 5\r\n\r\nhello", .failed(.refused(status: 407, reason: "Proxy Authentication Required")))
        check("HTTP/1.0 403 Filtered\r\n\r\n", .failed(.refused(status: 403, reason: "Filtered")))
        check("HTTP/1.1 502 \u{7}ad\r\n\r\n", .failed(.refused(status: 502, reason: "?ad")))
    }

    @Test("proxy answer: what is no HTTP, and a head without end, is malformed")
    func malformed() {
        for text in ["SSH-2.0-OpenSSH\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000\r\n\r\n", "HTTP/1.1 abc d\r\n\r\n"] {
            #expect(read(text, firstPiece: 0) == .failed(.malformed("no HTTP")), "\(text)")
        }
        let endless = "HTTP/1.1 200 OK\r\n" + String(repeating: "x: y\r\n", count: 4_000)
        #expect(read(endless, firstPiece: 100) == .failed(.malformed("head too long")))
    }

    @Test("proxy failure: what may be over soon is tried again, and 407 says what to do")
    func text() {
        #expect(ProxyFailure.refused(status: 503, reason: "").isTransient && ProxyFailure.unreachable(.timeout).isTransient)
        #expect(!ProxyFailure.refused(status: 407, reason: "x").isTransient && !ProxyFailure.malformed("x").isTransient)
        #expect(ProxyFailure.refused(status: 407, reason: "No").text == "status 407: it wants a user and a password, or other ones")
        #expect(ProxyFailure.refused(status: 403, reason: "Filtered").text == "refused with status 403: Filtered")
    }
}
