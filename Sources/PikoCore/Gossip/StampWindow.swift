// SPDX-License-Identifier: MIT
// Which stamps of one sender have come: each is taken once, in any order as long as it is not too old. A value; any thread.
// Stamps are sparse, so the latest ones themselves are kept, not a bit for each number.

/// The latest stamps of one sender.
struct StampWindow {
    static let capacity = 64

    private var stamps: [UInt64] = []
    /// What is not above it is not known any more, and not taken.
    private var floor: UInt64 = 0
    private(set) var latest: UInt64 = 0

    /// True the first time.
    mutating func take(_ stamp: UInt64) -> Bool {
        guard stamp > floor, !stamps.contains(stamp) else { return false }
        latest = max(latest, stamp)
        if stamps.count < Self.capacity {
            stamps.append(stamp)
        } else if let oldest = stamps.indices.min(by: { stamps[$0] < stamps[$1] }) {
            // The window slides: the oldest is forgotten, be it this one.
            floor = min(stamps[oldest], stamp)
            stamps[oldest] = max(stamps[oldest], stamp)
        }
        return true
    }
}
