// SPDX-License-Identifier: MIT
// Counts of values by size.
// A plain value: one loop owns it, sums of several make the process's.

/// How many values fell into each bucket of a scale, and their sum in the scale's unit.
public struct Histogram: Equatable, Sendable {
    /// One for each bound of the scale, and last those above all bounds.
    public private(set) var counts: [UInt64]
    public private(set) var sum: UInt64 = 0

    public init(_ scale: Scale) { counts = Array(repeating: 0, count: scale.bounds.count + 1) }

    /// What was counted elsewhere.
    init(counts: [UInt64], sum: UInt64) {
        self.counts = counts
        self.sum = sum
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
        /// The `le` of each bucket, spelt as the original spells them, so that queries over a mixed cluster add up; the last is "+Inf".
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
            ["256", "1024", "4096", "16384", "65536", "262144", "1.048576e+06", "4.194304e+06"],
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

/// A histogram that is counted into: plain memory, touched on one loop only.
final class HistogramCells {
    private let bounds: UnsafeMutablePointer<UInt64>
    private let boundCount: Int
    /// A count for each bound, one for what is above all, and the sum.
    private let cells: UnsafeMutablePointer<UInt64>

    init(_ scale: Histogram.Scale) {
        boundCount = scale.bounds.count
        bounds = .allocate(capacity: boundCount)
        for (index, bound) in scale.bounds.enumerated() { (bounds + index).initialize(to: bound) }
        cells = .allocate(capacity: boundCount + 2)
        cells.initialize(repeating: 0, count: boundCount + 2)
    }

    deinit {
        bounds.deallocate()
        cells.deallocate()
    }

    func observe(_ value: UInt64) {
        var bucket = 0
        while bucket < boundCount, value > bounds[bucket] { bucket &+= 1 }
        cells[bucket] &+= 1
        cells[boundCount &+ 1] &+= value
    }

    var histogram: Histogram {
        Histogram(counts: (0...boundCount).map { cells[$0] }, sum: cells[boundCount + 1])
    }
}
