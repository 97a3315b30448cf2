// SPDX-License-Identifier: MIT
// Recognises one well-formed UTF-8 sequence (Unicode 16, table 3-7).
// Pure, any thread.

enum UTF8Sequence {
    /// The length of the well-formed sequence of more than one byte that starts at `at`; 0 when there is none.
    static func length(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> Int {
        let first = bytes[at]
        let (length, second) = shape(of: first)
        guard length > 0, bytes.count - at >= length, second.contains(bytes[at + 1]) else { return 0 }
        for offset in 2..<max(length, 2) where bytes[at + offset] & 0xC0 != 0x80 { return 0 }
        return length
    }

    /// How long a sequence with this first byte is, and what its second byte may be.
    private static func shape(of first: UInt8) -> (Int, ClosedRange<UInt8>) {
        switch first {
        case 0xC2...0xDF: (2, 0x80...0xBF)
        case 0xE0: (3, 0xA0...0xBF)
        case 0xED: (3, 0x80...0x9F)
        case 0xE1...0xEF: (3, 0x80...0xBF)
        case 0xF0: (4, 0x90...0xBF)
        case 0xF1...0xF3: (4, 0x80...0xBF)
        case 0xF4: (4, 0x80...0x8F)
        default: (0, 0x80...0xBF)
        }
    }
}
