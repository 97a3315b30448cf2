// SPDX-License-Identifier: MIT
// HeadDump: what our parsers make of heads, for other parsers to be held against (Integration/differential). Reads records
// from standard input until its end: one byte for the kind, four bytes length (big endian), the bytes. Prints one JSON line
// each. Not shipped.

import Glibc

/// Reads exactly so many bytes from standard input, or nil at its end.
func read(exactly count: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    var have = 0
    while have < count {
        let got = bytes.withUnsafeMutableBytes { Glibc.read(0, $0.baseAddress! + have, count - have) }
        if got <= 0 { return nil }
        have += got
    }
    return bytes
}

func write(_ bytes: [UInt8]) {
    var done = 0
    while done < bytes.count {
        let put = bytes.withUnsafeBytes { Glibc.write(1, $0.baseAddress! + done, bytes.count - done) }
        if put <= 0 { exit(1) }
        done += put
    }
}

let dump = HeadDump()
while let prefix = read(exactly: 5) {
    let count = prefix[1...].reduce(0) { $0 << 8 | Int($1) }
    guard let kind = HeadDump.Kind(rawValue: prefix[0]), let bytes = read(exactly: count) else { exit(2) }
    write(dump.line(kind, bytes))
}
