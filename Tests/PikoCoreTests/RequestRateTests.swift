// SPDX-License-Identifier: MIT
// How many requests a second each client may send, and what becomes of many clients in a table of fixed size.
// The clock is the test's.

import Testing

@testable import PikoCore

/// A rate that can be asked within an expectation.
private final class Limiter {
    private var rate: RequestRate

    init(places: Int, seed: UInt64) { rate = RequestRate(places: places, seed: seed) }

    func admits(_ client: UInt64, perSecond: Int, now: UInt64) -> Bool { rate.admits(client, perSecond: perSecond, now: now) }
}

struct RequestRateTests {
    private let second: UInt64 = 1_000_000_000

    @Test("rate: a second's worth at once, then one at a time as it refills", arguments: [1, 2, 10, 1000])
    func burst(rate: Int) {
        let limiter = Limiter(places: 64, seed: 7)
        let now = 5 * second
        for _ in 0..<rate { #expect(limiter.admits(1, perSecond: rate, now: now)) }
        #expect(!limiter.admits(1, perSecond: rate, now: now))
        let interval = second / UInt64(rate)
        #expect(!limiter.admits(1, perSecond: rate, now: now + interval - 1))
        #expect(limiter.admits(1, perSecond: rate, now: now + interval))
        #expect(!limiter.admits(1, perSecond: rate, now: now + interval))
    }

    @Test("rate: over a long time exactly the rate is admitted, however many are refused in between")
    func steady() {
        let limiter = Limiter(places: 64, seed: 7)
        var admitted = 0
        for step in 0..<10_000 where limiter.admits(1, perSecond: 20, now: second + UInt64(step) * 1_000_000) { admitted += 1 }
        // Ten seconds, and the second's worth of the beginning.
        #expect((219...221).contains(admitted))
    }

    @Test("rate: one client's requests are not another's")
    func apart() {
        let limiter = Limiter(places: 64, seed: 7)
        #expect(limiter.admits(1, perSecond: 1, now: second))
        #expect(!limiter.admits(1, perSecond: 1, now: second))
        #expect(limiter.admits(2, perSecond: 1, now: second))
        #expect(limiter.admits(0, perSecond: 1, now: second))
        #expect(!limiter.admits(0, perSecond: 1, now: second))
    }

    @Test("rate: an idle client has a second's worth and no more")
    func idle() {
        let limiter = Limiter(places: 64, seed: 7)
        #expect(limiter.admits(1, perSecond: 2, now: 0))
        let later = 3600 * second
        #expect(limiter.admits(1, perSecond: 2, now: later))
        #expect(limiter.admits(1, perSecond: 2, now: later))
        #expect(!limiter.admits(1, perSecond: 2, now: later))
    }

    @Test("rate: another rate holds from the next request on")
    func changed() {
        let limiter = Limiter(places: 64, seed: 7)
        for _ in 0..<10 { #expect(limiter.admits(1, perSecond: 10, now: second)) }
        #expect(!limiter.admits(1, perSecond: 10, now: second))
        #expect(!limiter.admits(1, perSecond: 1, now: second + second / 2))
        #expect(limiter.admits(1, perSecond: 1, now: 2 * second))
    }

    @Test("rate: a client over its rate is kept apart from thousands that are not")
    func crowd() {
        let limiter = Limiter(places: 4096, seed: 7)
        for _ in 0..<100 { _ = limiter.admits(1, perSecond: 100, now: second) }
        var anew = 0
        for client in 2..<UInt64(100_000) {
            // Each comes once; a crowd passes in ten seconds, and the one goes on.
            let now = second + client * 100_000
            _ = limiter.admits(client, perSecond: 100, now: now)
            if client % 1000 == 0 { for _ in 0..<200 where limiter.admits(1, perSecond: 100, now: now) { anew += 1 } }
        }
        // 9.9 seconds at 100, and hardly more although 25 times as many clients came as there are places.
        #expect(anew < 1300, "\(anew)")
    }

    @Test("rate: the table does not grow")
    func bounded() {
        let limiter = Limiter(places: 10, seed: 7)
        for client in 0..<UInt64(10_000) { _ = limiter.admits(client, perSecond: 1, now: second) }
        // All of them at one moment: some are forgotten and admitted anew, which is better than refusing strangers.
        #expect(limiter.admits(20_000, perSecond: 1, now: second))
        #expect(MemoryLayout<RequestRate>.size <= 32)
    }

    @Test("rate: a clock that goes back admits no more and does not trap")
    func backwards() {
        let limiter = Limiter(places: 64, seed: 7)
        #expect(limiter.admits(1, perSecond: 1, now: 10 * second))
        #expect(!limiter.admits(1, perSecond: 1, now: 9 * second))
        #expect(!limiter.admits(1, perSecond: 1_000_000, now: 0))
    }
}
