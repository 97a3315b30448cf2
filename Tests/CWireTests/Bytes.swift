// SPDX-License-Identifier: MIT
// What the CWire tests share: bytes from text and hex, and memory of exactly the size a parser is told, so that
// AddressSanitizer sees a read one byte too far. Test only.

import CWire

typealias Bytes = [UInt8]

func hex(_ text: String) -> Bytes {
    let digits = text.utf8.filter { $0 != 0x20 }.map { UInt8(Character(UnicodeScalar($0)).hexDigitValue!) }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

func ascii(_ text: String) -> Bytes {
    Bytes(text.utf8)
}

/// Calls `body` with a copy in memory of exactly this size.
func withExact<Result>(_ bytes: some Collection<UInt8>, _ body: (UnsafeMutableBufferPointer<UInt8>) -> Result) -> Result {
    let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
    defer { copy.deallocate() }
    _ = copy.initialize(from: bytes)
    return body(copy)
}

/// A small generator with a seed: a failing case is found again by running the test again.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
