// SPDX-License-Identifier: MIT
// How long agents wait between tries.
// No clock and no generator: the randomness is passed in.

import Testing

@testable import PikoClient

@Suite struct BackoffTests {
    @Test("backoff: the ceiling of the wait doubles from 100 ms to 15 s and stays there")
    func growth() {
        var backoff = Backoff()
        let waits = (0..<10).map { _ in backoff.next(1) }
        #expect(waits == [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000])
    }

    @Test("backoff: full jitter reaches down to no wait at all")
    func jitter() {
        var backoff = Backoff()
        #expect((0..<5).allSatisfy { _ in backoff.next(0) == 0 })
    }

    @Test("backoff: a bound for one wait does not hold for the next")
    func bounds() {
        var backoff = Backoff()
        #expect(backoff.next(1, atLeast: 1000) == 1000)
        #expect(backoff.next(1) == 200)
        #expect(backoff.next(1, atMost: 300) == 300)
        #expect(backoff.next(1) == 800)
    }

    @Test("backoff: after a success the next wait is short again")
    func reset() {
        var backoff = Backoff()
        for _ in 0..<6 { _ = backoff.next(1) }
        backoff.reset()
        #expect(backoff.next(1) == 100)
    }
}
