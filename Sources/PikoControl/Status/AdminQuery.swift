// SPDX-License-Identifier: MIT
// One question to the admin port of a node, for commands: on a loop of its own that ends with it.
// The caller's thread waits.

import Dispatch
import PikoCore
import PikoEngine
import Synchronization

public enum AdminQuery {
    /// The body of a 200 answer. `path` begins with a slash. `tls`: for a URL of https, whose keys errors know as "server.tls". Not on a loop's
    /// thread.
    public static func get(
        _ url: ConfiguredURL, tls: ClientTLSConfiguration, path: String, timeout: UInt64 = 15_000
    ) throws(PageFailure) -> String {
        let identity = try identity(url, tls)
        let loop = try startedLoop()
        let answer = AnswerSlot()
        loop.post {
            var request = PageRequest(url: url, target: path, timeout: timeout)
            request.tls = identity
            PageExchange(request, on: loop) { answer.fill($0) }.start()
        }
        let result = answer.wait()
        loop.stop()
        loop.join()
        let reply = try result.get()
        guard reply.status == 200 else { throw PageFailure(reason: "status \(reply.status)\(reason(of: reply))") }
        return reply.text
    }

    private static func identity(_ url: ConfiguredURL, _ tls: ClientTLSConfiguration) throws(PageFailure) -> TLSIdentity? {
        guard url.scheme == .https else { return nil }
        do throws(ConfigurationError) {
            return try TLSStore(log: Log(sink: LogSink(configuration: LogConfiguration()))).client(tls, "server.tls")
        } catch {
            throw PageFailure(reason: error.message)
        }
    }

    /// What the error says, where it is one of ours.
    private static func reason(of reply: PageReply) -> String {
        reply.contentType.hasPrefix("application/json") && reply.body.count < 500 ? " \(reply.text)" : ""
    }

    private static func startedLoop() throws(PageFailure) -> EventLoop {
        do throws(EngineError) {
            let loop = try EventLoop(name: "query")
            try loop.start()
            return loop
        } catch {
            throw PageFailure(reason: error.description)
        }
    }
}

/// The answer on its way from the loop to the waiting thread.
private final class AnswerSlot: Sendable {
    private let ready = DispatchSemaphore(value: 0)
    private let answer = Mutex<Result<PageReply, PageFailure>?>(nil)

    func fill(_ result: Result<PageReply, PageFailure>) {
        answer.withLock { $0 = result }
        ready.signal()
    }

    func wait() -> Result<PageReply, PageFailure> {
        ready.wait()
        return answer.withLock { $0 } ?? .failure(PageFailure(reason: "no answer"))
    }
}
