// SPDX-License-Identifier: MIT
// Chunked bodies (RFC 9112 7.1): good and bad ones, each at every split in two and in three and byte by byte, decoded and
// passed on. No sockets; runs on the test's thread.

import CWire
import Testing

/// What came of a body offered in pieces.
struct Scanned: Equatable {
    var consumed = 0
    var payload = Bytes()
    var error = 0
    var done = false
}

/// Offers the bytes cut at `cuts` (ascending). `decode` asks for payload spans; without it, payload stays empty.
func scanChunked(_ bytes: Bytes, cuts: [Int] = [], decode: Bool = true) -> Scanned {
    var state = cw_chunked(), scanned = Scanned()
    for (start, end) in zip([0] + cuts, cuts + [bytes.count]) where scanned.error == 0 && !scanned.done {
        withExact(bytes[start..<end]) { offer($0, to: &state, decode, &scanned) }
    }
    return scanned
}

private func offer(_ piece: UnsafeMutableBufferPointer<UInt8>, to state: inout cw_chunked, _ decode: Bool, _ scanned: inout Scanned) {
    var at = 0
    while at < piece.count && !scanned.done {
        var span = 0, count = 0
        let result = decode
            ? cw_chunked_scan(&state, piece.baseAddress! + at, piece.count - at, &span, &count)
            : cw_chunked_scan(&state, piece.baseAddress! + at, piece.count - at, nil, nil)
        scanned.done = cw_chunked_done(&state)
        guard result >= 0 else { return scanned.error = Int(result) }
        #expect(result > 0 && Int(result) <= piece.count - at && span + count <= Int(result))
        #expect(decode || scanned.done || Int(result) == piece.count - at)
        scanned.payload += piece[(at + span)..<(at + span + count)]
        scanned.consumed += Int(result)
        at += Int(result)
    }
}

@Suite struct ChunkedTests {
    static let good: [(String, String)] = [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("4\r\nWiki\r\n7\r\npedia i\r\nB\r\nn \r\nchunks.\r\n0\r\n\r\n", "Wikipedia in \r\nchunks."),
        ("1;a=b;c=\"d e\"\r\n0\r\n00;last\r\n\r\n", "0"),
        ("0000000000000003;\t\r\n\r\n0\r\n0\r\nX-Sum: 1\r\nempty:\r\nA: b c\td\u{FF}\r\n\r\n", "\r\n0"),
        ("0\r\nX-Piko: 1\r\nAuthorizatio: 2\r\nHosts: 3\r\nX-Host: 4\r\nX-Forwarded: 5\r\n\r\n", ""),
    ]

    @Test("chunked: a good body is decoded and passed on the same at every split", arguments: good)
    func goodBody(text: String, payload: String) {
        let bytes = ascii(text)
        let expected = Scanned(consumed: bytes.count, payload: ascii(payload), done: true)
        checkSplits(bytes, expected)
    }

    @Test("chunked: the scan stops behind the body's last byte")
    func stops() {
        let body = ascii("3\r\nabc\r\n0\r\nT: 1\r\n\r\n"), next = ascii("GET / HTTP/1.1\r\n")
        checkSplits(body + next, Scanned(consumed: body.count, payload: ascii("abc"), done: true))
    }

    @Test("chunked: after the end nothing more is taken")
    func afterEnd() {
        var state = cw_chunked(), span = 9, count = 9
        let body = ascii("0\r\n\r\n")
        #expect(cw_chunked_scan(&state, body, body.count, nil, nil) == 5)
        #expect(cw_chunked_scan(&state, body, body.count, &span, &count) == 0)
        #expect(span == 0 && count == 0 && cw_chunked_done(&state))
    }

    @Test("chunked: one call passes on many chunks, and a part of a body is taken whole")
    func passThrough() {
        let whole = ascii("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        for count in 0..<whole.count {
            let part = scanChunked(Bytes(whole[..<count]), decode: false)
            #expect(part == Scanned(consumed: count), "\(count) bytes")
        }
    }

    static let bad: [(String, Int)] = [
        ("\r\n", CW_E_CHUNK_SIZE), ("\n", CW_E_CHUNK_SIZE), ("g", CW_E_CHUNK_SIZE), (";a\r\n", CW_E_CHUNK_SIZE),
        (" 5\r\n", CW_E_CHUNK_SIZE), ("5 \r\n", CW_E_CHUNK_SIZE), ("5\t;a\r\n", CW_E_CHUNK_SIZE), ("+5\r\n", CW_E_CHUNK_SIZE),
        ("-1\r\n", CW_E_CHUNK_SIZE), ("0x5\r\n", CW_E_CHUNK_SIZE), ("5_0\r\n", CW_E_CHUNK_SIZE), ("\0", CW_E_CHUNK_SIZE),
        ("00000000000000005\r\n", CW_E_CHUNK_SIZE), ("8000000000000000\r\n", CW_E_CHUNK_SIZE), ("FFFFFFFFFFFFFFFF", CW_E_CHUNK_SIZE),
        ("5;a\0b\r\n", CW_E_CHUNK_EXT), ("5;a\u{7F}\r\n", CW_E_CHUNK_EXT), ("5;\u{1}", CW_E_CHUNK_EXT),
        ("5\n", CW_E_CHUNK_END), ("5\r5", CW_E_CHUNK_END), ("5\r\r\n", CW_E_CHUNK_END), ("5;a\n", CW_E_CHUNK_END), ("5;a\rb", CW_E_CHUNK_END),
        ("3\r\nabcd\r\n", CW_E_CHUNK_END), ("3\r\nabc\n0\r\n", CW_E_CHUNK_END), ("3\r\nabc\r0\r\n", CW_E_CHUNK_END),
        ("3\r\nabc0\r\n", CW_E_CHUNK_END), ("3\r\nabc\r\n\r\n", CW_E_CHUNK_SIZE),
        ("0\r\n\n", CW_E_TRAILER), ("0\r\n\r\r", CW_E_TRAILER), ("0\r\n\r0", CW_E_TRAILER), ("0\r\n: a\r\n", CW_E_TRAILER),
        ("0\r\nA\r\n", CW_E_TRAILER), ("0\r\nA : b\r\n", CW_E_TRAILER), ("0\r\n A: b\r\n", CW_E_TRAILER),
        ("0\r\nA: b\n\r\n", CW_E_TRAILER), ("0\r\nA: b\r\r\n", CW_E_TRAILER), ("0\r\nA: b\rc", CW_E_TRAILER),
        ("0\r\nA: b\r\n c\r\n", CW_E_TRAILER), ("0\r\nA: \0\r\n", CW_E_TRAILER), ("0\r\nA(: b\r\n", CW_E_TRAILER),
        ("0\r\nA\u{80}: b\r\n", CW_E_TRAILER), ("0\r\nA: \u{1}\r\n", CW_E_TRAILER), ("0\r\nA: \u{7F}\r\n", CW_E_TRAILER),
        ("0\r\nAuthorization: Bearer t\r\n\r\n", CW_E_TRAILER_FIELD), ("0\r\nA: b\r\nx-piko-AUTHORIZATION:t\r\n\r\n", CW_E_TRAILER_FIELD),
        ("0\r\nX-Forwarded-For: 1\r\n\r\n", CW_E_TRAILER_FIELD), ("0\r\nX-Piko-Tenant-ID: 1\r\n\r\n", CW_E_TRAILER_FIELD),
        ("0\r\nX-Piko-" + String(repeating: "a", count: 600) + ":", CW_E_TRAILER_FIELD), ("0\r\nx-piko-:", CW_E_TRAILER_FIELD), ("0\r\nhost:", CW_E_TRAILER_FIELD),
        ("0\r\nTransfer-Encoding: chunked\r\n\r\n", CW_E_TRAILER_FIELD), ("0\r\nContent-Length: 1\r\n\r\n", CW_E_TRAILER_FIELD),
    ]

    @Test("chunked: a bad body is the same error at every split, behind the same payload", arguments: bad)
    func badBody(text: String, error: Int) {
        let bytes = ascii(text)
        for cuts in cuts(of: bytes) {
            for decode in [true, false] {
                let scanned = scanChunked(bytes, cuts: cuts, decode: decode)
                #expect(scanned.error == error && !scanned.done, "\(bytes) cut at \(cuts)")
                if decode { #expect(scanned.payload == scanChunked(bytes).payload) }
            }
        }
    }

    @Test("chunked: an error stays, whatever is offered next", arguments: bad)
    func sticky(text: String, error: Int) {
        var state = cw_chunked(), span = 9, count = 9
        let bytes = ascii(text), next = ascii("0\r\n\r\n")
        #expect(cw_chunked_scan(&state, bytes, bytes.count, nil, nil) == error)
        for offered in 0...next.count {
            #expect(cw_chunked_scan(&state, next, offered, &span, &count) == error)
            #expect(span == 0 && count == 0 && !cw_chunked_done(&state))
        }
    }

    @Test("chunked: the largest size is followed to its end")
    func largest() {
        var state = cw_chunked()
        let line = ascii("7fffffffffffffff\r\n"), data = Bytes(repeating: 1, count: 100)
        #expect(cw_chunked_scan(&state, line, line.count, nil, nil) == 18)
        #expect(cw_chunked_scan(&state, data, 100, nil, nil) == 100)
        #expect(state.remaining == UInt64(Int64.max) - 100)
    }

    @Test("chunked: a size line may be as long as the bound, and every chunk's anew")
    func lineBound() {
        let fits = ascii("1;" + String(repeating: "x", count: CW_CHUNK_LINE_MAX - 4) + "\r\n")
        #expect(fits.count == CW_CHUNK_LINE_MAX)
        let body = fits + ascii("a\r\n") + fits + ascii("b\r\n0\r\n\r\n")
        #expect(scanChunked(body) == Scanned(consumed: body.count, payload: ascii("ab"), done: true))
        let long = ascii("1;" + String(repeating: "x", count: CW_CHUNK_LINE_MAX))
        #expect(scanChunked(Bytes(long[..<CW_CHUNK_LINE_MAX])).error == 0)
        #expect(scanChunked(Bytes(long[...CW_CHUNK_LINE_MAX])).error == CW_E_CHUNK_EXT)
    }

    @Test("chunked: a trailer section may be as long as the bound")
    func trailerBound() {
        let line = ascii("Name: " + String(repeating: "x", count: 1016) + "\r\n")
        let full = Bytes(repeatElement(line, count: CW_TRAILER_MAX / 1024).joined())
        let fits = ascii("0\r\n") + full.dropLast(4) + ascii("\r\n\r\n")
        #expect(scanChunked(fits) == Scanned(consumed: 3 + CW_TRAILER_MAX, done: true))
        #expect(scanChunked(ascii("0\r\n") + full).error == 0)
        #expect(scanChunked(ascii("0\r\n") + full + ascii("\r")).error == CW_E_TRAILER)
    }

    /// Every cut in two, in three where that is not too many, and each byte by itself.
    private func cuts(of bytes: Bytes) -> [[Int]] {
        let inner = Array(0...bytes.count)
        let threes = bytes.count > 40 ? [] : inner.flatMap { first in inner[first...].map { [first, $0] } }
        return [[], Array(1..<max(bytes.count, 1))] + inner.map { [$0] } + threes
    }

    private func checkSplits(_ bytes: Bytes, _ expected: Scanned) {
        for cuts in cuts(of: bytes) {
            #expect(scanChunked(bytes, cuts: cuts) == expected, "cut at \(cuts)")
            var passed = expected
            passed.payload = []
            #expect(scanChunked(bytes, cuts: cuts, decode: false) == passed, "cut at \(cuts)")
        }
    }
}
