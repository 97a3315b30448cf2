// SPDX-License-Identifier: MIT
// Where the main thread waits for the loops: for a signal, or until what they drain is gone.
// Any thread may knock.

import Dispatch
import PikoEngine
import Synchronization

/// What the main thread waits for.
public final class Turnstile: Sendable {
    private let knock = DispatchSemaphore(value: 0)
    private let signals = Atomic<Int>(0)
    private let hangups = Atomic<Int>(0)
    private let failure = Atomic<Bool>(false)

    public init() {}

    /// Something changed: whoever waits looks again. Any thread.
    public func wake() { knock.signal() }

    /// SIGTERM or SIGINT came. Any thread.
    public func signalled() {
        signals.add(1, ordering: .sequentiallyConsistent)
        wake()
    }

    /// SIGHUP came. Any thread.
    func hungUp() {
        hangups.add(1, ordering: .sequentiallyConsistent)
        wake()
    }

    /// The process cannot go on by itself. Any thread.
    public func fail() {
        failure.store(true, ordering: .sequentiallyConsistent)
        wake()
    }

    public var hasFailed: Bool { failure.load(ordering: .sequentiallyConsistent) }
    var hangupCount: Int { hangups.load(ordering: .sequentiallyConsistent) }
    public var signalCount: Int { signals.load(ordering: .sequentiallyConsistent) }

    /// Waits until somebody knocks, for so many milliseconds at most.
    public func rest(atMost milliseconds: Int) { _ = knock.wait(timeout: .now() + .milliseconds(milliseconds)) }

    /// Waits until `isOver` or, when given, for so many milliseconds. True when it is over.
    public func wait(atMost milliseconds: UInt64? = nil, until isOver: () -> Bool) -> Bool {
        let deadline = milliseconds.map { DispatchTime.now() + .milliseconds(Int(clamping: $0)) } ?? .distantFuture
        while !isOver() {
            if knock.wait(timeout: deadline) == .timedOut { return isOver() }
        }
        return true
    }
}
