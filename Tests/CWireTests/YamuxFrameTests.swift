// SPDX-License-Identifier: MIT
// The yamux header against its specification: every type with every flag, each field's bytes, each error at its byte.
// No sockets; runs on the test's thread.

import CWire
import Testing

struct YamuxHeader: Equatable {
    var type: Int
    var flags: Int
    var stream: UInt32
    var length: UInt32

    init(_ type: Int, _ flags: Int, _ stream: UInt32, _ length: UInt32) {
        (self.type, self.flags, self.stream, self.length) = (type, flags, stream, length)
    }

    init(_ header: cw_yamux_header) {
        self.init(Int(header.type), Int(header.flags), header.stream, header.length)
    }

    var written: Bytes {
        var header = cw_yamux_header(type: UInt8(type), flags: UInt16(flags), stream: stream, length: length)
        var out = Bytes(repeating: 0xEE, count: CW_YAMUX_HEADER_SIZE)
        cw_yamux_header_write(&out, &header)
        return out
    }
}

func readYamux(_ bytes: some Collection<UInt8>) -> (result: Int, header: YamuxHeader) {
    var header = cw_yamux_header(type: 77, flags: 77, stream: 77, length: 77)
    let result = withExact(bytes) { cw_yamux_header_read(&header, $0.baseAddress, $0.count) }
    return (Int(result), YamuxHeader(header))
}

@Suite struct YamuxFrameTests {
    static let untouched = YamuxHeader(77, 77, 77, 77)

    static let examples: [(String, YamuxHeader)] = [
        ("00 00 00 00 00 00 00 02 00 00 00 05", YamuxHeader(CW_YAMUX_DATA, 0, 2, 5)),
        ("00 01 00 01 00 00 00 02 00 00 00 00", YamuxHeader(CW_YAMUX_WINDOW, CW_YAMUX_SYN, 2, 0)),
        ("00 01 00 06 01 02 03 04 ff fe fd fc", YamuxHeader(CW_YAMUX_WINDOW, CW_YAMUX_ACK | CW_YAMUX_FIN, 0x0102_0304, 0xFFFE_FDFC)),
        ("00 00 00 08 ff ff ff ff 00 00 00 00", YamuxHeader(CW_YAMUX_DATA, CW_YAMUX_RST, .max, 0)),
        ("00 02 00 01 00 00 00 00 de ad be ef", YamuxHeader(CW_YAMUX_PING, CW_YAMUX_SYN, 0, 0xDEAD_BEEF)),
        ("00 03 00 00 00 00 00 00 00 00 00 01", YamuxHeader(CW_YAMUX_GO_AWAY, 0, 0, UInt32(CW_YAMUX_PROTOCOL_ERROR))),
    ]

    @Test("yamux frame: fields stand where the specification puts them", arguments: examples)
    func example(text: String, header: YamuxHeader) {
        #expect(readYamux(hex(text)) == (12, header))
        #expect(header.written == hex(text))
    }

    @Test("yamux frame: what is written is read back, each prefix of it needs more and changes nothing")
    func roundTrip() {
        for type in CW_YAMUX_DATA...CW_YAMUX_GO_AWAY {
            for flags in 0...15 {
                for stream in type < CW_YAMUX_PING ? [1, 2, 256, .max] : [0] as [UInt32] {
                    let header = YamuxHeader(type, flags, stream, 0x8000_0001), written = header.written
                    for count in 0..<12 { #expect(readYamux(written[..<count]) == (0, Self.untouched)) }
                    #expect(readYamux(written + [0xFF]) == (12, header))
                }
            }
        }
    }

    static let faults: [(String, Int)] = [
        ("01", CW_E_YAMUX_VERSION), ("ff", CW_E_YAMUX_VERSION),
        ("00 04", CW_E_YAMUX_TYPE), ("00 ff", CW_E_YAMUX_TYPE),
        ("00 00 01", CW_E_YAMUX_FLAGS), ("00 01 80", CW_E_YAMUX_FLAGS),
        ("00 00 00 10", CW_E_YAMUX_FLAGS), ("00 02 00 81", CW_E_YAMUX_FLAGS),
        ("00 02 00 01 01", CW_E_YAMUX_STREAM), ("00 03 00 00 00 00 01", CW_E_YAMUX_STREAM),
        ("00 02 00 02 00 00 00 02", CW_E_YAMUX_STREAM),
        ("00 00 00 01 00 00 00 00", CW_E_YAMUX_STREAM), ("00 01 00 00 00 00 00 00", CW_E_YAMUX_STREAM),
    ]

    @Test("yamux frame: a fault is told at its byte, not before, and stays whatever follows", arguments: faults)
    func fault(text: String, error: Int) {
        let bytes = hex(text)
        for count in 0..<bytes.count { #expect(readYamux(bytes[..<count]).result == 0) }
        for filler in [0, 1, 0xFF] as [UInt8] {
            for more in 0...12 {
                #expect(readYamux(bytes + Bytes(repeating: filler, count: more)) == (error, Self.untouched))
            }
        }
    }
}
