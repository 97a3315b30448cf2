// SPDX-License-Identifier: MIT
// Waits for an answer of JWTKit, whose keys live in actors: for the main thread at start, for the control loop when keys change.
// Never on a loop that serves clients.

import Dispatch
import Synchronization

extension SignatureKeys {
    /// Runs `body` on the concurrency pool and waits for its answer. Nothing in `body` may wait for the calling thread.
    static func await<Answer: Sendable>(_ body: @escaping @Sendable () async -> Answer) -> Answer? {
        let slot = AnswerSlot<Answer>()
        Task.detached { slot.fill(await body()) }
        return slot.wait()
    }
}

private final class AnswerSlot<Answer: Sendable>: Sendable {
    private let ready = DispatchSemaphore(value: 0)
    private let answer = Mutex<Answer?>(nil)

    func fill(_ answer: Answer) {
        self.answer.withLock { $0 = answer }
        ready.signal()
    }

    func wait() -> Answer? {
        ready.wait()
        return answer.withLock { $0 }
    }
}
