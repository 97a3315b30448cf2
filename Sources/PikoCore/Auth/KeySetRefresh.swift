// SPDX-License-Identifier: MIT
// When a JSON Web Key Set is read again: when it is old, when its file has changed, when a token names a key that it does not have (at most once
// in ten seconds, or strangers could hammer the issuer), when the operator asks for it, and a while after a read that failed. Until then the keys at
// hand are used.
// A value: events in, directives out; the clock is passed in, in milliseconds. No sockets.

/// Decides when a key set is read. Give it every event in order; carry out what it says in order.
public struct KeySetRefresh: Sendable {
    public enum Event: Sendable {
        case started
        /// A token waits whose key is not in the set.
        case unknownKey
        /// The wait is over.
        case due
        /// The file is another, or the operator says that the set is: what is being read may be the old one.
        case changed
        case read
        case failed
    }

    public enum Directive: Equatable, Sendable {
        case read
        /// So many milliseconds, then `due`; in place of any wait before.
        case wait(UInt64)
        /// The tokens that wait are judged by what is there.
        case settle
    }

    /// Milliseconds between two reads for the sake of unknown keys, and after a failure.
    public static let interval: UInt64 = 10_000
    /// Milliseconds that a set is used where nothing is configured.
    public static let usualAge: UInt64 = 3_600_000
    private static let leastAge: UInt64 = 1_000

    private let age: UInt64
    private var isReading = false
    /// What is being read was asked for before the last change.
    private var isOutdated = false
    private var lastAsked: UInt64?

    /// - Parameter age: milliseconds that a set is used before it is read again; 0: `usualAge`.
    public init(age: UInt64) { self.age = age == 0 ? Self.usualAge : max(age, Self.leastAge) }

    public mutating func handle(_ event: Event, now: UInt64) -> [Directive] {
        switch event {
        case .started, .due: return read()
        case .changed:
            isOutdated = isReading
            return read()
        case .unknownKey: return keyIsUnknown(now)
        case .read: return end(thenWait: age)
        case .failed: return end(thenWait: min(age, Self.interval))
        }
    }

    private mutating func end(thenWait milliseconds: UInt64) -> [Directive] {
        isReading = false
        guard isOutdated else { return [.wait(milliseconds), .settle] }
        isOutdated = false
        return read()
    }

    private mutating func keyIsUnknown(_ now: UInt64) -> [Directive] {
        if isReading { return [] }
        if let lastAsked, now &- lastAsked < Self.interval { return [.settle] }
        lastAsked = now
        return read()
    }

    private mutating func read() -> [Directive] {
        if isReading { return [] }
        isReading = true
        return [.read]
    }
}
