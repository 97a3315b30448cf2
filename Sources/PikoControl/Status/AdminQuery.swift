// SPDX-License-Identifier: MIT
// One question to the admin port of a node, for commands: on a loop of its own that ends with it.
// The caller's thread waits.

import Dispatch
import PikoCore
import PikoEngine
import Synchronization

public enum AdminQuery {
    /// The body of a 200 answer. `path` begins with a slash. Not on a loop's thread.
    public static func get(_ url: ConfiguredURL, path: String, timeout: UInt64 = 15_000) throws(AdminQueryFailure) -> String {
        let loop = try startedLoop()
        let answer = AnswerSlot()
        loop.post {
            AdminExchange(url: url, path: path, timeout: timeout, on: loop) { answer.fill($0) }.start()
        }
        let result = answer.wait()
        loop.stop()
        loop.join()
        let reply = try result.get()
        guard reply.status == 200 else { throw AdminQueryFailure(reason: "status \(reply.status)\(reason(of: reply))") }
        return reply.body
    }

    /// What the error says, where it is one of ours.
    private static func reason(of reply: AdminReply) -> String {
        reply.contentType.hasPrefix("application/json") && reply.body.utf8.count < 500 ? " \(reply.body)" : ""
    }

    private static func startedLoop() throws(AdminQueryFailure) -> EventLoop {
        do throws(EngineError) {
            let loop = try EventLoop(name: "query")
            try loop.start()
            return loop
        } catch {
            throw AdminQueryFailure(reason: error.description)
        }
    }
}

/// The answer on its way from the loop to the waiting thread.
private final class AnswerSlot: Sendable {
    private let ready = DispatchSemaphore(value: 0)
    private let answer = Mutex<Result<AdminReply, AdminQueryFailure>?>(nil)

    func fill(_ result: Result<AdminReply, AdminQueryFailure>) {
        answer.withLock { $0 = result }
        ready.signal()
    }

    func wait() -> Result<AdminReply, AdminQueryFailure> {
        ready.wait()
        return answer.withLock { $0 } ?? .failure(AdminQueryFailure(reason: "no answer"))
    }
}
