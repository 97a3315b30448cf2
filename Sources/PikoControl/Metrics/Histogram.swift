// SPDX-License-Identifier: MIT
// Counts of values by size.
// A plain value: one loop owns it, sums of several make the process's.

/// How many values fell into each bucket of a scale, and their sum in the scale's unit.
public struct Histogram: Equatable, Sendable {
    /// One for each bound of the scale, and last those above all bounds.
    public private(set) var counts: [UInt64]
    public private(set) var sum: UInt64 = 0

    public init(_ scale: Scale) { counts = Array(repeating: 0, count: scale.bounds.count + 1) }

    /// Counts a value. `scale` is the one it was made with.
    public mutating func observe(_ value: UInt64, _ scale: Scale) {
        var bucket = 0
        while bucket < scale.bounds.count, value > scale.bounds[bucket] { bucket += 1 }
        counts[bucket] &+= 1
        sum &+= value
    }

    /// Adds another of the same scale.
    public mutating func add(_ other: Histogram) {
        for index in counts.indices { counts[index] &+= other.counts[index] }
        sum &+= other.sum
    }

    /// The bounds of a histogram, and how Prometheus is to see them.
    public struct Scale: Sendable {
        /// Rising; a bucket holds values up to and with its bound.
        public let bounds: [UInt64]
        /// The `le` of each bucket; the last is "+Inf".
        let labels: [String]
        /// What one of Prometheus' units is in ours.
        private let unit: UInt64

        /// Nanoseconds, shown as seconds: .005 to 10, as Prometheus' libraries have it.
        public static let latency = Scale(
            [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000].map { $0 * 1_000_000 },
            ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10"],
            unit: 1_000_000_000
        )
        /// Bytes: 256 × 4^0...7.
        public static let size = Scale(
            (0..<8).map { 256 << (2 * $0) },
            (0..<8).map { String(256 << (2 * $0)) },
            unit: 1
        )

        private init(_ bounds: [UInt64], _ labels: [String], unit: UInt64) {
            self.bounds = bounds
            self.labels = labels + ["+Inf"]
            self.unit = unit
        }

        func sum(_ value: UInt64) -> String {
            unit == 1 ? String(value) : String(Double(value) / Double(unit))
        }
    }
}
