// SPDX-License-Identifier: MIT
// How many requests a second each client may send: a token bucket for each, in a table of fixed size. A value; the clock is passed in, so it is
// tested without one. Who counts as one client, and what a refused one is told, is decided elsewhere.

/// Admits each client so many requests a second, a second's worth at once.
///
/// A bucket is the moment at which it is full again. One that is full by now is as good as none, so the table forgets those first; where more clients
/// than there are places are over their rate at the same time, the one nearest to its full bucket is forgotten, and so admitted anew.
public struct RequestRate: Sendable {
    private struct Bucket {
        var client: UInt64 = 0
        /// Nanoseconds of the clock.
        var fullAt: UInt64 = 0
    }

    /// Places that one client may have a bucket at.
    private static let ways = 8
    private static let second: UInt64 = 1_000_000_000

    private let setCount: Int
    private let seed: UInt64
    /// Made with the first request.
    private var buckets: [Bucket] = []

    /// - Parameters:
    ///   - places: clients that are remembered at least; 16 bytes each.
    ///   - seed: random, so that nobody can choose addresses that share their places.
    public init(places: Int, seed: UInt64) {
        precondition(places > 0, "a rate needs a table")
        setCount = (places + Self.ways - 1) / Self.ways
        self.seed = seed
    }

    /// Whether the client may send a request now; it is counted then.
    /// - Parameters:
    ///   - rate: requests a second, 1 to 1,000,000.
    ///   - now: nanoseconds of a monotonic clock.
    public mutating func admits(_ client: UInt64, perSecond rate: Int, now: UInt64) -> Bool {
        precondition((1...1_000_000).contains(rate), "a rate is 1 to 1,000,000 a second")
        if buckets.isEmpty { buckets = Array(repeating: Bucket(), count: setCount * Self.ways) }
        let place = place(of: client)
        let interval = Self.second / UInt64(rate)
        let fullAt = buckets[place].client == client ? max(buckets[place].fullAt, now) : now
        guard fullAt - now <= Self.second - interval else { return false }
        buckets[place] = Bucket(client: client, fullAt: fullAt + interval)
        return true
    }

    /// The client's own place, or the one that is missed least.
    private func place(of client: UInt64) -> Int {
        let hash = (client ^ seed) &* 0x9E37_79B9_7F4A_7C15
        let first = Int((hash ^ (hash >> 32)) % UInt64(setCount)) * Self.ways
        var place = first
        for index in first..<(first + Self.ways) {
            if buckets[index].client == client { return index }
            if buckets[index].fullAt < buckets[place].fullAt { place = index }
        }
        return place
    }
}
