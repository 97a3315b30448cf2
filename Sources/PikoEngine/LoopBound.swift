// SPDX-License-Identifier: MIT
// State that belongs to one loop, nameable from any thread: the name travels, the state stays. Every access checks the thread.
// It is how loops find each other's objects; it must not be used to reach into them.

import Dispatch

/// A place for one loop-confined value.
///
/// `@unchecked Sendable`: `stored` is touched on the loop's own thread only; `value` traps elsewhere (a programmer's mistake).
public final class LoopBound<Value>: @unchecked Sendable {
    public let loop: EventLoop
    private var stored: Value?

    /// Any thread; the value is set later, on the loop.
    public init(on loop: EventLoop) { self.loop = loop }

    /// The value. On the loop only.
    public var value: Value? {
        get {
            precondition(loop.isCurrent, "this value belongs to another loop")
            return stored
        }
        set {
            precondition(loop.isCurrent, "this value belongs to another loop")
            stored = newValue
        }
    }

    /// Runs `body` with the value on the loop, in order of posting. Any thread. Does nothing when there is no value (any more).
    /// - Returns: false when the loop has ended and `body` was dropped.
    @discardableResult
    public func post(_ body: sending @escaping (Value) -> Void) -> Bool {
        loop.post { [self] in
            if let value { body(value) }
        }
    }

    /// Runs `body` with the value on the loop and waits for its answer. Not on a loop's thread: for the main thread while starting and
    /// ending. nil when there is no value or the loop has ended.
    public func sync<Answer: Sendable>(_ body: sending @escaping (Value) -> Answer) -> Answer? {
        loop.sync { [self] in value.map(body) } ?? nil
    }
}

extension EventLoop {
    /// Runs `body` on the loop and waits for its answer; not on a loop's own thread. nil when the loop has ended.
    public func sync<Answer: Sendable>(_ body: sending @escaping () -> Answer) -> Answer? {
        precondition(!isCurrent, "a loop cannot wait for itself")
        let reply = Reply<Answer>()
        guard post({ reply.fill(body()) }) else { return nil }
        return reply.wait()
    }
}

/// One answer on its way from a loop to a waiting thread.
///
/// `@unchecked Sendable`: written once before the semaphore is signalled, read once after.
private final class Reply<Answer: Sendable>: @unchecked Sendable {
    private let ready = DispatchSemaphore(value: 0)
    private var answer: Answer?

    func fill(_ answer: Answer) {
        self.answer = answer
        ready.signal()
    }

    func wait() -> Answer? {
        ready.wait()
        return answer
    }
}
