// SPDX-License-Identifier: MIT
// How long to wait before the next try: exponential with full jitter.
// A value; the randomness is passed in. Any thread.

/// Waits between 0 and a ceiling that doubles with each try, from 100 ms up to 15 s, so that thousands of agents of a
/// dead node do not come back at once.
public struct Backoff: Sendable {
    /// Milliseconds.
    public static let floor: UInt64 = 100
    /// Milliseconds.
    public static let ceiling: UInt64 = 15_000

    private var limit = Backoff.floor

    public init() {}

    /// Milliseconds to wait now; the next wait may be twice as long.
    /// - Parameters:
    ///   - fraction: random, 0 to 1: how much of the present ceiling to wait.
    ///   - least: the ceiling is no lower this time, milliseconds.
    ///   - most: nor higher.
    public mutating func next(_ fraction: Double, atLeast least: UInt64 = floor, atMost most: UInt64 = ceiling) -> UInt64 {
        defer { limit = min(limit * 2, Self.ceiling) }
        return UInt64(Double(min(max(limit, least), most)) * fraction)
    }

    /// After a success: the next wait is short again.
    public mutating func reset() { limit = Self.floor }
}
