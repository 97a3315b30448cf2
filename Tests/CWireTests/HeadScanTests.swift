// SPDX-License-Identifier: MIT
// The end of an HTTP/1 head against a reference that reads byte by byte: tables, every position in a block, every split.
// No sockets; runs on the test's thread.

import CWire
import Testing

/// What the header promises, one byte after another.
private func reference(_ bytes: Bytes) -> Int {
    for (at, byte) in bytes.enumerated() {
        let behindCR = at > 0 && bytes[at - 1] == 0x0D, atStart = at == 0 || bytes[at - 1] == 0x0A
        if behindCR && byte != 0x0A { return CW_E_HEAD_CR }
        if !behindCR && byte == 0x0A { return CW_E_HEAD_LF }
        if byte == 0 { return CW_E_HEAD_NUL }
        if atStart && (byte == 0x20 || byte == 0x09) { return CW_E_HEAD_FOLD }
        if byte == 0x0A && (at == 1 || bytes[at - 2] == 0x0A) { return at + 1 }
    }
    return 0
}

private func scanHead(_ bytes: Bytes, cuts: [Int] = []) -> Int {
    var scan = cw_head_scan(), result = 0
    for end in cuts + [bytes.count] where result == 0 {
        result = withExact(bytes[..<end]) { Int(cw_head_scan_next(&scan, $0.baseAddress, $0.count)) }
    }
    return result
}

@Suite struct HeadScanTests {
    static let request = "GET /a?b=c HTTP/1.1\r\nHost: web.example.com\r\nAccept: */*\r\nX: \t y \r\nUser-Agent: curl/8\r\n\r\n"

    @Test("head scan: a head ends behind its empty line, whatever follows")
    func end() {
        for more in ["", "\n", "\0", " ", "body\r\n\r\n", String(repeating: "x", count: 100)] {
            #expect(scanHead(ascii(Self.request + more)) == Self.request.utf8.count)
        }
        #expect(scanHead(ascii("HTTP/1.1 200 OK\r\n\r\n")) == 19)
        #expect(scanHead(ascii("\r\nGET / HTTP/1.1\r\n\r\n")) == 2)
    }

    @Test("head scan: each part of a head needs more, and each cut gives the same end")
    func splits() {
        let bytes = ascii(Self.request)
        for first in 0..<bytes.count {
            #expect(scanHead(Bytes(bytes[..<first])) == 0)
            for second in [first, (first + bytes.count) / 2, bytes.count] {
                #expect(scanHead(bytes + [0], cuts: [first, second]) == bytes.count)
            }
        }
        #expect(scanHead(bytes, cuts: Array(0..<bytes.count)) == bytes.count)
    }

    static let faults: [(String, Int)] = [
        ("GET / HTTP/1.1\n", CW_E_HEAD_LF), ("\n", CW_E_HEAD_LF), ("A\r\nB\n", CW_E_HEAD_LF), ("A\r\n\n", CW_E_HEAD_LF),
        ("A\rB", CW_E_HEAD_CR), ("A\r\r", CW_E_HEAD_CR), ("\r\0", CW_E_HEAD_CR), ("A\r\n\rB", CW_E_HEAD_CR), ("A\r ", CW_E_HEAD_CR),
        ("\0", CW_E_HEAD_NUL), ("A\r\nB: \0", CW_E_HEAD_NUL),
        (" ", CW_E_HEAD_FOLD), ("\t", CW_E_HEAD_FOLD), ("A\r\nB\r\n ", CW_E_HEAD_FOLD), ("A\r\nB: c\r\n\t", CW_E_HEAD_FOLD),
    ]

    @Test("head scan: a fault is told at its byte, not before, at every position in a block and every split", arguments: faults)
    func fault(text: String, error: Int) {
        for shift in text.first == "A" ? 0..<140 : 0..<1 {
            let bytes = Bytes(repeating: 0x41, count: shift) + ascii(text)
            #expect(scanHead(Bytes(bytes.dropLast())) == 0)
            #expect(scanHead(bytes) == error)
            #expect(scanHead(bytes + ascii("\r\n\r\n")) == error)
            for cut in max(0, bytes.count - 4)..<bytes.count { #expect(scanHead(bytes, cuts: [cut]) == error) }
        }
    }

    @Test("head scan: an error stays, whatever is offered next", arguments: faults)
    func sticky(text: String, error: Int) {
        var scan = cw_head_scan()
        let bytes = ascii(text), good = ascii(Self.request)
        #expect(cw_head_scan_next(&scan, bytes, bytes.count) == error)
        #expect(cw_head_scan_next(&scan, good, good.count) == error)
        #expect(cw_head_scan_next(&scan, good, 0) == error)
    }

    @Test("head scan: the end is found at every position in a block")
    func everyEnd() {
        for count in 1...200 {
            let bytes = Bytes(repeating: 0x41, count: count) + ascii("\r\n\r\n")
            #expect(scanHead(bytes) == bytes.count && scanHead(bytes + Bytes(repeating: 0, count: 64)) == bytes.count)
        }
    }

    @Test("head scan: bytes once scanned are not looked at again, but for the last two")
    func noRescan() {
        var bytes = ascii(Self.request), scan = cw_head_scan()
        for count in 0..<bytes.count {
            #expect(cw_head_scan_next(&scan, bytes, count) == 0)
            #expect(scan.scanned == count)
            for done in 0..<max(0, count - 2) { bytes[done] = 0 }
        }
        #expect(Int(cw_head_scan_next(&scan, bytes, bytes.count)) == bytes.count)
        #expect(Int(cw_head_scan_next(&scan, bytes, bytes.count)) == bytes.count)
    }

    @Test("head scan: random lines give what reading byte by byte gives, cut anywhere")
    func random() {
        var random = SplitMix(state: 1)
        let pieces = ["\r\n", "\r\n", "\r\n\r\n", "\r", "\n", "\0", " ", "\t"].map(ascii)
        for _ in 0..<3000 {
            var bytes = Bytes()
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                bytes += Bytes(repeating: 0x41, count: Int.random(in: 0...70, using: &random))
                bytes += Int.random(in: 0...3, using: &random) > 0 ? pieces[0] : pieces.randomElement(using: &random)!
            }
            let cut = Int.random(in: 0...bytes.count, using: &random), expected = reference(bytes)
            if scanHead(bytes) != expected || scanHead(bytes, cuts: [cut]) != expected {
                Issue.record("\(bytes) cut at \(cut): expected \(expected)")
            }
        }
    }
}
