// SPDX-License-Identifier: MIT
// The WebSocket frame header against RFC 6455: its examples, every pair of first bytes, every length border, every error.
// No sockets; runs on the test's thread.

import CWire
import Testing

struct WSHeader: Equatable {
    var length: UInt64
    var opcode: Int
    var fin = true
    var mask: Bytes?

    init(length: UInt64, opcode: Int, fin: Bool = true, mask: Bytes? = nil) {
        (self.length, self.opcode, self.fin, self.mask) = (length, opcode, fin, mask)
    }

    init(_ header: cw_ws_header) {
        let mask = header.mask
        self.init(
            length: header.length, opcode: Int(header.opcode), fin: header.fin,
            mask: header.masked ? [mask.0, mask.1, mask.2, mask.3] : nil)
    }

    var written: Bytes {
        var header = cw_ws_header(length: length, opcode: UInt8(opcode), fin: fin, masked: mask != nil, mask: (0, 0, 0, 0))
        if let mask { header.mask = (mask[0], mask[1], mask[2], mask[3]) }
        var out = Bytes(repeating: 0xEE, count: Int(CW_WS_HEADER_MAX))
        let count = cw_ws_header_write(&out, &header)
        return Bytes(out[..<count])
    }
}

func readWS(_ bytes: some Collection<UInt8>) -> (result: Int, header: WSHeader) {
    var header = cw_ws_header(length: 77, opcode: 7, fin: false, masked: true, mask: (7, 7, 7, 7))
    let result = withExact(bytes) { cw_ws_header_read(&header, $0.baseAddress, $0.count) }
    return (Int(result), WSHeader(header))
}

@Suite struct WSFrameTests {
    static let untouched = WSHeader(length: 77, opcode: 7, fin: false, mask: [7, 7, 7, 7])
    static let key: Bytes = [0x37, 0xFA, 0x21, 0x3D]

    static let examples: [(String, WSHeader, Int)] = [
        ("81 05 48 65 6c 6c 6f", WSHeader(length: 5, opcode: CW_WS_TEXT), 2),
        ("81 85 37 fa 21 3d 7f 9f 4d 51 58", WSHeader(length: 5, opcode: CW_WS_TEXT, mask: key), 6),
        ("01 03 48 65 6c", WSHeader(length: 3, opcode: CW_WS_TEXT, fin: false), 2),
        ("80 02 6c 6f", WSHeader(length: 2, opcode: CW_WS_CONTINUATION), 2),
        ("89 05 48 65 6c 6c 6f", WSHeader(length: 5, opcode: CW_WS_PING), 2),
        ("8a 85 37 fa 21 3d 7f 9f 4d 51 58", WSHeader(length: 5, opcode: CW_WS_PONG, mask: key), 6),
        ("82 7e 01 00 00", WSHeader(length: 256, opcode: CW_WS_BINARY), 4),
        ("82 7f 00 00 00 00 00 01 00 00 00", WSHeader(length: 65536, opcode: CW_WS_BINARY), 10),
    ]

    @Test("ws frame: the examples of RFC 6455 5.7 are read", arguments: examples)
    func example(text: String, header: WSHeader, size: Int) {
        let read = readWS(hex(text))
        #expect(read.result == size)
        #expect(read.header == header)
        #expect(header.written == Bytes(hex(text)[..<size]))
    }

    @Test("ws frame: what is written is read back, each prefix of it needs more and changes nothing")
    func roundTrip() {
        let lengths: [(UInt64, Int)] = [
            (0, 2), (1, 2), (125, 2), (126, 4), (127, 4), (65535, 4), (65536, 10), (1 << 32, 10), (UInt64(Int64.max), 10),
        ]
        for (length, size) in lengths {
            for opcode in [CW_WS_CONTINUATION, CW_WS_TEXT, CW_WS_BINARY] {
                for (fin, mask) in [(true, nil), (false, nil), (true, [0, 0, 0, 0]), (false, Self.key)] as [(Bool, Bytes?)] {
                    checkRoundTrip(
                        WSHeader(length: length, opcode: opcode, fin: fin, mask: mask), size: size + (mask == nil ? 0 : 4))
                }
            }
        }
        for opcode in [CW_WS_CLOSE, CW_WS_PING, CW_WS_PONG] {
            for length in [0, 125] as [UInt64] {
                checkRoundTrip(WSHeader(length: length, opcode: opcode, mask: Self.key), size: 6)
            }
        }
    }

    private func checkRoundTrip(_ header: WSHeader, size: Int) {
        let written = header.written
        #expect(written.count == size)
        for count in 0..<size {
            let part = readWS(written[..<count])
            #expect(part.result == 0 && part.header == Self.untouched, "\(count) bytes of \(header)")
        }
        let whole = readWS(written + [0xFF, 0])
        #expect(whole.result == size && whole.header == header)
    }

    static let faults: [(String, Int)] = [
        ("c2", CW_E_WS_RESERVED), ("a2", CW_E_WS_RESERVED), ("92", CW_E_WS_RESERVED), ("83", CW_E_WS_RESERVED),
        ("87", CW_E_WS_RESERVED), ("8b", CW_E_WS_RESERVED), ("8f", CW_E_WS_RESERVED),
        ("08", CW_E_WS_CONTROL), ("09", CW_E_WS_CONTROL), ("0a", CW_E_WS_CONTROL),
        ("88 7e", CW_E_WS_CONTROL), ("89 7f", CW_E_WS_CONTROL), ("8a fe", CW_E_WS_CONTROL),
        ("82 7e 00 00", CW_E_WS_LENGTH), ("82 7e 00 7d", CW_E_WS_LENGTH), ("82 fe 00 7d", CW_E_WS_LENGTH),
        ("82 7f 00 00 00 00 00 00 00 01", CW_E_WS_LENGTH), ("82 7f 00 00 00 00 00 00 ff ff", CW_E_WS_LENGTH),
        ("82 7f 80 00 00 00 00 00 00 00", CW_E_WS_LENGTH), ("82 ff ff ff ff ff ff ff ff ff", CW_E_WS_LENGTH),
    ]

    @Test("ws frame: a fault is told at its byte, not before, and stays whatever follows", arguments: faults)
    func fault(text: String, error: Int) {
        let bytes = hex(text)
        for count in 0..<bytes.count { #expect(readWS(bytes[..<count]).result == 0) }
        for filler in [0, 0x7F, 0xFF] as [UInt8] {
            for more in 0...14 {
                let read = readWS(bytes + Bytes(repeating: filler, count: more))
                #expect(read.result == error && read.header == Self.untouched)
            }
        }
    }

    @Test("ws frame: every pair of first bytes is either read or a fault, as RFC 6455 5.2 says")
    func everyPair() {
        let rest = hex("01 00 00 00 01 00 00 00 09 09 09 09")
        for first in UInt8.min...UInt8.max {
            for second in UInt8.min...UInt8.max {
                let opcode = first & 15, length = second & 127
                let reserved = first & 0x70 != 0 || (3...7).contains(opcode) || opcode > 10
                let control = opcode > 7 && (first < 128 || length > 125)
                let size = 2 + (length == 126 ? 2 : length == 127 ? 8 : 0) + (second > 127 ? 4 : 0)
                let expected = reserved ? CW_E_WS_RESERVED : control ? CW_E_WS_CONTROL : size
                let result = readWS([first, second] + rest).result
                if result != expected { Issue.record("\(first) \(second): \(result), expected \(expected)") }
            }
        }
    }
}
