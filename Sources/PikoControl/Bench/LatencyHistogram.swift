// SPDX-License-Identifier: MIT
// Latencies of a benchmark, kept as counts: memory that does not grow, percentiles within 1.6 %. A plain value.
// Buckets are linear within each power of two, 64 of them, so small and large values are equally exact.

/// Counts of durations in nanoseconds.
public struct LatencyHistogram: Equatable, Sendable {
    public private(set) var total: UInt64 = 0
    public private(set) var maximum: UInt64 = 0
    private var counts = [UInt64](repeating: 0, count: 64 * 59)

    public init() {}

    public mutating func record(_ nanoseconds: UInt64) {
        counts[Self.bucket(of: nanoseconds)] &+= 1
        total &+= 1
        maximum = max(maximum, nanoseconds)
    }

    public mutating func add(_ other: LatencyHistogram) {
        for index in counts.indices { counts[index] &+= other.counts[index] }
        total &+= other.total
        maximum = max(maximum, other.maximum)
    }

    /// A duration that at least `share` (0 to 1) of all do not exceed, and the largest for 1. 0 when there are none.
    public func percentile(_ share: Double) -> UInt64 {
        let rank = max(1, UInt64((Double(total) * share).rounded(.up)))
        var seen: UInt64 = 0
        for (index, count) in counts.enumerated() {
            seen &+= count
            if seen >= rank { return min(Self.largest(in: index), maximum) }
        }
        return maximum
    }

    static func bucket(of value: UInt64) -> Int {
        guard value >= 64 else { return Int(value) }
        let exponent = 63 - value.leadingZeroBitCount
        return (exponent - 5) * 64 + Int(value >> (exponent - 6) & 63)
    }

    static func largest(in bucket: Int) -> UInt64 {
        guard bucket >= 64 else { return UInt64(bucket) }
        let shift = bucket / 64 - 1
        let lowest = UInt64(64 + bucket % 64) << shift
        return lowest + (1 << shift - 1)
    }
}
