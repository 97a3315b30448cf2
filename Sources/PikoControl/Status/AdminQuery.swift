// SPDX-License-Identifier: MIT
// One GET to the admin port of a node, for commands: on a loop of its own that ends with it. The caller's thread waits.
// It asks as HTTP/1.0, so that the answer's end is its length or the end of the connection, whoever answers.

import Dispatch
import PikoCore
import PikoEngine
import Synchronization

/// Why an admin port gave no answer.
public struct AdminQueryFailure: Error, Sendable {
    /// One line.
    public var reason: String
}

public enum AdminQuery {
    /// The body of a 200 answer. `path` begins with a slash. Not on a loop's thread.
    public static func get(_ url: ConfiguredURL, path: String, timeout: UInt64 = 10_000) throws(AdminQueryFailure) -> String {
        let loop = try startedLoop()
        let answer = AnswerSlot()
        loop.post { AdminExchange(url: url, path: path, timeout: timeout, on: loop) { answer.fill($0) }.start() }
        let result = answer.wait()
        loop.stop()
        loop.join()
        return try result.get()
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
    private let answer = Mutex<Result<String, AdminQueryFailure>?>(nil)

    func fill(_ result: Result<String, AdminQueryFailure>) {
        answer.withLock { $0 = result }
        ready.signal()
    }

    func wait() -> Result<String, AdminQueryFailure> {
        ready.wait()
        return answer.withLock { $0 } ?? .failure(AdminQueryFailure(reason: "no answer"))
    }
}

/// The request and its answer. Loop-confined; its connection and dial hold it.
private final class AdminExchange: ConnectionHandler {
    private let url: ConfiguredURL
    private let path: String
    private let timeout: UInt64
    private let loop: EventLoop
    private var completion: ((Result<String, AdminQueryFailure>) -> Void)?
    private var timer: Timer?
    private var scanner = HeadScanner()
    private let head = ResponseHead(limits: HeadLimits(bytes: 64 * 1024, fields: 128))
    private var status: UInt16 = 0
    private var body: [UInt8] = []

    private static let bodyLimit = 64 * 1024 * 1024

    init(url: ConfiguredURL, path: String, timeout: UInt64, on loop: EventLoop, completion: @escaping (Result<String, AdminQueryFailure>) -> Void) {
        self.url = url
        self.path = path
        self.timeout = timeout
        self.loop = loop
        self.completion = completion
    }

    func start() {
        Dialer.dial(host: url.host, port: url.port, timeout: timeout, on: loop) { [self] in
            switch $0 {
            case .success(let connection): didConnect(connection)
            case .failure(let error): finish(.failure(AdminQueryFailure(reason: error.description)))
            }
        }
    }

    private func didConnect(_ connection: Connection) {
        timer = Timer(on: loop) { connection.abort() }
        timer?.arm(timeout)
        connection.handler = self
        connection.write("GET \(url.path)\(path) HTTP/1.0\r\nhost: \(url.authority)\r\naccept: application/json\r\n\r\n")
        connection.startReading()
    }

    func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int {
        if status != 0 { return readBody(bytes, connection) }
        guard case .head(let count) = scanner.next(bytes) else { return 0 }
        if let fault = head.parse(UnsafeRawBufferPointer(rebasing: bytes[..<count]), answering: RequestTraits()) {
            return giveUp(String(describing: fault.text), bytes, connection)
        }
        status = head.traits.status
        if head.traits.framing == .empty { finish(on: connection) }
        return count
    }

    private func readBody(_ bytes: UnsafeRawBufferPointer, _ connection: Connection) -> Int {
        guard body.count + bytes.count <= Self.bodyLimit else { return giveUp("an answer too long", bytes, connection) }
        body += bytes
        if case .length(let length) = head.traits.framing, body.count >= length { finish(on: connection) }
        return bytes.count
    }

    private func giveUp(_ reason: String, _ bytes: UnsafeRawBufferPointer, _ connection: Connection) -> Int {
        finish(.failure(AdminQueryFailure(reason: reason)))
        connection.abort()
        return bytes.count
    }

    func connectionDidEnd(_ connection: Connection) {
        if status != 0, head.traits.framing == .untilClose { finish(on: connection) } else { connection.close() }
    }

    func connectionDidClose(_ connection: Connection, error: EngineError?) {
        timer = nil
        finish(.failure(AdminQueryFailure(reason: error?.description ?? "closed before the answer")))
    }

    private func finish(on connection: Connection) {
        let text = String(decoding: body, as: UTF8.self)
        finish(status == 200 ? .success(text) : .failure(AdminQueryFailure(reason: "status \(status)")))
        connection.close()
    }

    private func finish(_ result: Result<String, AdminQueryFailure>) {
        completion?(result)
        completion = nil
    }
}
