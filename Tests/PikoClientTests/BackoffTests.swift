// SPDX-License-Identifier: MIT
// How long agents wait between tries.

import Testing

@testable import PikoClient

@Suite struct BackoffTests {
    /// The largest value a range allows: what the wait is at most.
    private struct Largest: RandomNumberGenerator {
        mutating func next() -> UInt64 { .max }
    }

    private struct Smallest: RandomNumberGenerator {
        mutating func next() -> UInt64 { 0 }
    }

    @Test("backoff: the ceiling of the wait doubles from 100 ms to 15 s and stays there")
    func growth() {
        var backoff = Backoff()
        var generator = Largest()
        let waits = (0..<10).map { _ in backoff.next(using: &generator) }
        #expect(waits == [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000])
    }

    @Test("backoff: full jitter reaches down to no wait at all")
    func jitter() {
        var backoff = Backoff()
        var generator = Smallest()
        #expect((0..<5).allSatisfy { _ in backoff.next(using: &generator) == 0 })
    }

    @Test("backoff: after a success the next wait is short again")
    func reset() {
        var backoff = Backoff()
        var generator = Largest()
        for _ in 0..<6 { _ = backoff.next(using: &generator) }
        backoff.reset()
        #expect(backoff.next(using: &generator) == 100)
    }
}
