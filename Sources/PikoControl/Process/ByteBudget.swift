// SPDX-License-Identifier: MIT
// Bytes that several holders may have in memory together. Any thread.
// It holds no bytes itself.

import Synchronization

/// A bound on memory that is shared.
final class ByteBudget: Sendable {
    private let left: Atomic<Int>

    init(bytes: Int) { left = Atomic(bytes) }

    /// False: there is not so much left, and nothing was taken. What was taken is given back with `giveBack`.
    func take(_ count: Int) -> Bool {
        if left.subtract(count, ordering: .relaxed).newValue >= 0 { return true }
        giveBack(count)
        return false
    }

    /// What one holder takes to begin with; nil: as `take`, false.
    func lease(_ count: Int) -> Lease? {
        let lease = Lease(of: self)
        return lease.take(count) ? lease : nil
    }

    /// Bytes that are left.
    var rest: Int { left.load(ordering: .relaxed) }

    func giveBack(_ count: Int) { left.add(count, ordering: .relaxed) }

    /// What one holder has taken; given back when nobody holds it any more.
    final class Lease: Sendable {
        private let budget: ByteBudget
        private let held = Atomic<Int>(0)

        init(of budget: ByteBudget) { self.budget = budget }

        /// As ByteBudget.take.
        func take(_ count: Int) -> Bool {
            guard budget.take(count) else { return false }
            held.add(count, ordering: .relaxed)
            return true
        }

        /// Bytes taken so far.
        var count: Int { held.load(ordering: .relaxed) }

        deinit { budget.giveBack(held.load(ordering: .relaxed)) }
    }
}
