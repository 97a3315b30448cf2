// SPDX-License-Identifier: MIT
// How suspicious a node's silence is: phi accrual over the times between its deltas (protocol.md, "Gossip"). A value; any thread.
// Knows no node and no clock; times are milliseconds of the caller's clock.

/// The last deltas of one node.
struct ArrivalWindow: Sendable {
    private static let most = 50
    /// Above it a node is unreachable.
    static let threshold = 20.0

    private var intervals: [UInt64]
    private var next = 0
    private var sum: UInt64
    private(set) var last: UInt64

    /// - Parameter first: the interval assumed before any was seen.
    init(first: UInt64, now: UInt64) {
        intervals = [first]
        sum = first
        last = now
    }

    /// A delta has come.
    mutating func heard(_ now: UInt64) {
        let interval = now > last ? now - last : 0
        last = max(last, now)
        sum += interval
        if intervals.count < Self.most {
            intervals.append(interval)
            return
        }
        next %= Self.most
        sum -= intervals[next]
        intervals[next] = interval
        next += 1
    }

    /// Time that passed without us: no fault of the node.
    mutating func forgive(_ pause: UInt64) { last += pause }

    /// Time since the last delta in means of the intervals.
    /// - Parameter least: the mean is taken as at least this, since deltas also come in bursts that say nothing of a node's pace.
    func suspicion(_ now: UInt64, least: Double) -> Double {
        guard now > last else { return 0 }
        return Double(now - last) / max(Double(sum) / Double(intervals.count), least)
    }
}
