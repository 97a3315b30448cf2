// SPDX-License-Identifier: MIT
// Waits for an answer of JWTKit, whose keys live in actors: for the main thread at start, for the control loop when keys change.
// What is waited for runs on a queue of its own, so that it comes whatever thread waits. Never on a loop that serves clients.

import Dispatch
import Synchronization

extension SignatureKeys {
    /// Runs `body`, and the actors that it calls, on the queue, and waits for its answer.
    static func await<Answer: Sendable>(_ body: @escaping @Sendable () async -> Answer) -> Answer? {
        let slot = AnswerSlot<Answer>()
        Task.detached(executorPreference: KeyQueue.shared) { slot.fill(await body()) }
        return slot.wait()
    }
}

/// Where keys are made.
private final class KeyQueue: TaskExecutor {
    static let shared = KeyQueue()
    private let queue = DispatchQueue(label: "piko.keys")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
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
