// SPDX-License-Identifier: MIT
// The body that every request of a benchmark has.
// One copy for a process, whatever the number of loops and clients.
// Made once, read from all loops, never written again.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Random bytes.
final class BenchPayload: Sendable {
    let count: Int
    private let storage: [UInt8]

    init(count: Int) {
        var random = SystemRandomNumberGenerator()
        self.count = count
        storage = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    /// All of it, for the length of the call.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result { storage.withUnsafeBytes(body) }

    /// Whether `bytes` are what it has from `offset` on.
    func matches(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Bool {
        guard offset + bytes.count <= count else { return false }
        guard let start = bytes.baseAddress else { return true }
        return storage.withUnsafeBytes { memcmp($0.baseAddress! + offset, start, bytes.count) == 0 }
    }
}
