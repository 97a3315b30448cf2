// SPDX-License-Identifier: MIT
// One question to the admin port of a node, for commands: on a loop of its own that ends with it.
// The caller's thread waits.

import Dispatch
import PikoClient
import PikoCore
import PikoEngine
import Synchronization

public enum AdminQuery {
    /// The body of a 200 answer. `path` begins with a slash; `server` says whom to ask, and how. Not on a loop's thread.
    public static func get(_ path: String, of server: StatusConfiguration, timeout: UInt64 = 15_000) throws(PageFailure) -> String {
        let identity = try identity(server)
        let token = try token(server)
        let loop = try startedLoop()
        let answer = AnswerSlot()
        loop.post {
            var request = PageRequest(url: server.url, target: path, timeout: timeout)
            request.tls = identity
            if !token.isEmpty { request.fields = [("authorization", "Bearer \(token)")] }
            PageExchange(request, on: loop) { answer.fill($0) }.start()
        }
        let result = answer.wait()
        loop.stop()
        loop.join()
        let reply = try result.get()
        guard reply.status == 200 else { throw PageFailure(reason: "status \(reply.status)\(reason(of: reply))") }
        return reply.text
    }

    private static func token(_ server: StatusConfiguration) throws(PageFailure) -> String {
        do throws(DialFailure) {
            return try TokenFile.read(server.tokenFile, otherwise: server.token, key: "server.token_file")
        } catch {
            throw PageFailure(reason: error.description)
        }
    }

    private static func identity(_ server: StatusConfiguration) throws(PageFailure) -> TLSIdentity? {
        do throws(ConfigurationError) {
            return try TLSStore.once(log: Log(sink: LogSink(configuration: LogConfiguration()))) { store throws(ConfigurationError) in
                try store.client(server.tls, "server.tls", towards: [server.url])
            }
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
