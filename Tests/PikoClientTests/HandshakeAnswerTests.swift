// SPDX-License-Identifier: MIT
// How a server's answer to an upgrade is read, at every split.
// No sockets, no clock; runs on the test's thread.

import PikoEngine
import Testing

@testable import PikoClient

@Suite struct HandshakeAnswerTests {
    /// The example of RFC 6455 1.3.
    private let key = "dGhlIHNhbXBsZSBub25jZQ=="
    private let accepted =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nx-piko-half-close: 1\r\n\r\n"

    /// Offers the text in two pieces, as a connection does: all that came so far each time.
    private func read(_ text: String, split: Int) -> (HandshakeAnswer.Reading, HandshakeAnswer) {
        var answer = HandshakeAnswer()
        let bytes = Array(text.utf8)
        return bytes.withUnsafeBytes { all in
            let first = answer.read(UnsafeRawBufferPointer(rebasing: all[..<split]), key: key)
            guard case .needsMore = first else { return (first, answer) }
            return (answer.read(all, key: key), answer)
        }
    }

    @Test("answer: 101 with the right accept value upgrades, frames behind it are left")
    func upgraded() {
        let text = accepted + "\u{02}\u{00}"
        for split in 0...accepted.utf8.count {
            let (reading, answer) = read(text, split: split)
            guard case .upgraded(let taken) = reading else {
                Issue.record("split \(split): \(reading)")
                continue
            }
            #expect(taken == accepted.utf8.count)
            #expect(answer.agreesToHalfClose)
        }
    }

    @Test("answer: 101 with a wrong accept value is malformed")
    func wrongAccept() {
        let (reading, _) = read(accepted.replacing("s3pP", with: "AAAA"), split: 10)
        guard case .failed(.malformed) = reading else { Issue.record("\(reading)"); return }
    }

    @Test("answer: a refusal's text is the error of its JSON body")
    func refused() {
        let body = "{\"error\": \"no available upstreams\"}"
        let text = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        for split in 0...text.utf8.count {
            let (reading, _) = read(text, split: split)
            guard case .failed(.refused(let status, let message)) = reading else {
                Issue.record("split \(split): \(reading)")
                continue
            }
            #expect(status == 502 && message == "no available upstreams")
        }
    }

    @Test("answer: a body that is no JSON gives a status without a text")
    func noJSON() {
        let (reading, _) = read("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope", split: 3)
        guard case .failed(.refused(404, "")) = reading else { Issue.record("\(reading)"); return }
    }

    @Test("answer: what is no HTTP is malformed, at once")
    func noHTTP() {
        let (reading, _) = read("SSH-2.0-OpenSSH\n", split: 16)
        guard case .failed(.malformed) = reading else { Issue.record("\(reading)"); return }
    }

    @Test("answer: a node names itself and counts its cluster, in a refusal too")
    func node() {
        let named = "x-piko-node: n1\r\nx-piko-nodes: 3\r\n"
        for text in [accepted.replacing("x-piko-half-close: 1\r\n", with: named), "HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\(named)\r\n"] {
            #expect(read(text, split: 12).1.node == AnsweringNode(id: "n1", nodes: 3))
        }
        #expect(read(accepted, split: 12).1.node == AnsweringNode(id: nil, nodes: 1))
    }

    @Test("answer: what a node says of itself is believed within reason")
    func wildNode() {
        for (name, id) in [("a,b", nil), ("a b", nil), ("", nil), (String(repeating: "n", count: 257), nil), ("n-1.x", "n-1.x")] as [(String, String?)] {
            for (count, nodes) in [("0", 1), ("-5", 1), ("many", 1), ("99999999999", 100_000), ("8", 8)] {
                let text = accepted.replacing("x-piko-half-close: 1", with: "x-piko-node: \(name)\r\nx-piko-nodes: \(count)")
                #expect(read(text, split: 12).1.node == AnsweringNode(id: id, nodes: nodes), "\(name) \(count)")
            }
        }
    }

    @Test("failure: only what may pass by itself is tried again")
    func transience() {
        for status in [408, 429, 500, 502, 503, 504] { #expect(DialFailure.refused(status: status, text: "").isTransient) }
        for status in [400, 401, 403, 404] { #expect(!DialFailure.refused(status: status, text: "").isTransient) }
        #expect(DialFailure.transport(.timeout).isTransient)
    }
}
