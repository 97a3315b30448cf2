// SPDX-License-Identifier: MIT
// The WebSocket mask against its definition (RFC 6455 5.3), at every size around the block sizes and at every alignment.
// No sockets; runs on the test's thread.

import CWire
import Testing

/// The definition.
func masked(_ bytes: Bytes, _ mask: Bytes, phase: Int = 0) -> Bytes {
    bytes.indices.map { bytes[$0] ^ mask[($0 + phase) % 4] }
}

private let key: Bytes = [0x37, 0xFA, 0x21, 0x3D]

private func sample(_ count: Int) -> Bytes {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 7) }
}

@Suite struct WSMaskTests {
    @Test("ws mask: the example of RFC 6455 5.7 unmasks to Hello")
    func example() {
        var bytes = hex("7f 9f 4d 51 58")
        cw_ws_mask(&bytes, bytes.count, key, 0)
        #expect(bytes == ascii("Hello"))
    }

    @Test("ws mask: every size to 200, at every phase and alignment, is masked and nothing beside it")
    func sizes() {
        for count in 0...200 {
            let plain = sample(count), phase = count % 7, offset = count % 9
            let frame = Bytes(repeating: 0xEE, count: offset) + plain + [0xEE]
            let expected = Bytes(repeating: 0xEE, count: offset) + masked(plain, key, phase: phase) + [0xEE]
            let inPlace = withExact(frame) { memory in
                cw_ws_mask(memory.baseAddress! + offset, count, key, phase)
                return Bytes(memory)
            }
            let copied = withExact(plain) { from in
                withExact(Bytes(repeating: 0xEE, count: frame.count)) { to in
                    cw_ws_mask_copy(to.baseAddress! + offset, from.baseAddress, count, key, phase)
                    return Bytes(to)
                }
            }
            #expect(inPlace == expected && copied == expected, "\(count) bytes")
        }
    }

    @Test("ws mask: exact memory, every size to 200, every phase")
    func exact() {
        for count in 0...200 {
            for phase in 0..<4 {
                let plain = sample(count)
                let result = withExact(plain) { memory in
                    cw_ws_mask(memory.baseAddress, count, key, phase)
                    return Bytes(memory)
                }
                if result != masked(plain, key, phase: phase) { Issue.record("\(count) bytes at phase \(phase)") }
            }
        }
    }

    @Test("ws mask: a payload split anywhere is masked as if whole")
    func splits() {
        let plain = sample(150), whole = masked(plain, key)
        for split in 0...plain.count {
            var bytes = plain
            bytes.withUnsafeMutableBufferPointer {
                cw_ws_mask($0.baseAddress, split, key, 0)
                cw_ws_mask($0.baseAddress! + split, plain.count - split, key, split)
            }
            #expect(bytes == whole, "split at \(split)")
        }
    }

    @Test("ws mask: only the phase modulo 4 counts, whatever its size")
    func phases() {
        for phase in [4, 5, 0x1_0000_0002, Int.max] {
            var bytes = sample(77)
            cw_ws_mask(&bytes, bytes.count, key, phase)
            #expect(bytes == masked(sample(77), key, phase: phase % 4))
        }
    }

    @Test("ws mask: a zero mask changes nothing and copies all")
    func zero() {
        var bytes = sample(99), copy = Bytes(repeating: 0, count: 99)
        cw_ws_mask(&bytes, 99, [0, 0, 0, 0], 1)
        cw_ws_mask_copy(&copy, bytes, 99, [0, 0, 0, 0], 1)
        #expect(bytes == sample(99) && copy == bytes)
        cw_ws_mask_copy(nil, nil, 0, [0, 0, 0, 0], 0)
        cw_ws_mask_copy(nil, nil, 0, key, 3)
        cw_ws_mask(nil, 0, key, 1)
    }
}
