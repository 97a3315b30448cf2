// SPDX-License-Identifier: MIT
// The connections to a port of agents or of nodes, on one loop, that have not done yet what they came for (to be a tunnel, to ask and be answered),
// and how many there may be. Who is honest is through in a moment: who says nothing must not take the descriptors, nor the places, of those that
// have something to say. Loop-confined.

/// Connections that have not done yet what they came for. Whoever enters leaves.
final class UnfinishedDials {
    /// Milliseconds that each has however many others come. With less, a burst of honest agents over TLS would undo each other's handshakes.
    private static let grace: UInt64 = 2_000

    enum Room {
        case free
        /// The oldest dial, which has had its time, was aborted.
        case made
        case none
    }

    private struct Dial {
        let since: UInt64
        let abort: () -> Void
    }

    private let limit: Int
    private var dials: [UInt64: Dial] = [:]
    private var next: UInt64 = 0
    /// No dial has a lower number.
    private var lowest: UInt64 = 0
    /// Called whenever the last one has left.
    var onEmpty: () -> Void = {}

    init(limit: Int) { self.limit = max(1, limit) }

    var count: Int { dials.count }

    /// Whether one more may enter.
    /// - Parameter now: milliseconds on the loop's clock.
    func room(at now: UInt64) -> Room {
        guard dials.count >= limit else { return .free }
        while dials[lowest] == nil { lowest += 1 }
        guard let oldest = dials[lowest], now >= oldest.since + Self.grace else { return .none }
        leave(lowest)
        oldest.abort()
        return .made
    }

    /// - Parameter abort: ends it at once; it must lead to `leave`.
    /// - Returns: its number.
    func enter(at now: UInt64, abort: @escaping () -> Void) -> UInt64 {
        defer { next += 1 }
        dials[next] = Dial(since: now, abort: abort)
        return next
    }

    func leave(_ number: UInt64) {
        guard dials.removeValue(forKey: number) != nil else { return }
        if dials.isEmpty { onEmpty() }
    }

    /// Aborts all; they leave as they close.
    func abortAll() {
        for dial in Array(dials.values) { dial.abort() }
    }
}
