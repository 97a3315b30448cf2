// SPDX-License-Identifier: MIT
// One GET to an admin port and its answer, whole. Lives on the loop it is started on.
// It asks as HTTP/1.0, so that the answer's end is its length or the end of the connection, whoever answers.

import PikoCore
import PikoEngine

/// Why an admin port gave no answer.
public struct AdminQueryFailure: Error, Sendable {
    /// One line.
    public var reason: String
}

/// What an admin port answered.
struct AdminReply: Sendable {
    var status: UInt16
    var contentType: String
    var body: String
    /// On the bytes of the body, where they are counted.
    var lease: ByteBudget.Lease?
}

/// The request and its answer. Loop-confined; its dial and its connection hold it until its completion has run, once, in a later turn.
final class AdminExchange: ConnectionHandler {
    typealias Completion = (Result<AdminReply, AdminQueryFailure>) -> Void

    private let url: ConfiguredURL
    private let path: String
    private let isForwarded: Bool
    private let timeout: UInt64
    private let lease: ByteBudget.Lease?
    private let loop: EventLoop
    private var completion: Completion?
    private var dial: Dialer?
    private var connection: Connection?
    private var timer: Timer?
    private var scanner = HeadScanner()
    private let head = ResponseHead(limits: HeadLimits(bytes: 64 * 1024, fields: 128))
    private var status: UInt16 = 0
    private var body: [UInt8] = []

    private static let bodyLimit = 64 * 1024 * 1024

    /// - Parameters:
    ///   - path: begins with a slash; with its query.
    ///   - isForwarded: asked for somebody who asked this node.
    ///   - timeout: milliseconds from `start` to the end of the answer.
    ///   - lease: takes the bytes of the answer; nil: they are not counted.
    init(
        url: ConfiguredURL, path: String, isForwarded: Bool = false, timeout: UInt64, lease: ByteBudget.Lease? = nil, on loop: EventLoop,
        completion: @escaping Completion
    ) {
        self.url = url
        self.path = path
        self.isForwarded = isForwarded
        self.timeout = timeout
        self.lease = lease
        self.loop = loop
        self.completion = completion
    }

    func start() {
        timer = Timer(on: loop) { [unowned self] in late() }
        timer?.arm(timeout)
        dial = Dialer.dial(host: url.host, port: url.port, timeout: timeout, on: loop) { [self] in
            dial = nil
            switch $0 {
            case .success(let connection): didConnect(connection)
            case .failure(let error): finish(.failure(AdminQueryFailure(reason: error.description)))
            }
        }
    }

    /// Ends it; the completion does not run.
    func cancel() {
        completion = nil
        stop()
    }

    private func late() {
        finish(.failure(AdminQueryFailure(reason: EngineError.timeout.description)))
        stop()
    }

    private func stop() {
        timer = nil
        dial?.cancel()
        dial = nil
        connection?.abort()
        connection = nil
    }

    private func didConnect(_ connection: Connection) {
        self.connection = connection
        connection.handler = self
        let mark = isForwarded ? "x-piko-forward: true\r\n" : ""
        connection.write("GET \(url.path)\(path) HTTP/1.0\r\nhost: \(url.authority)\r\naccept: application/json\r\n\(mark)\r\n")
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
        guard body.count + bytes.count <= Self.bodyLimit, lease?.take(bytes.count) ?? true else { return giveUp("an answer too long", bytes, connection) }
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
        self.connection = nil
        finish(.failure(AdminQueryFailure(reason: error?.description ?? "closed before the answer")))
    }

    private func finish(on connection: Connection) {
        let type = head.fields.value(named: "content-type").map { String(decoding: $0, as: UTF8.self) }
        let text = String(decoding: body, as: UTF8.self)
        finish(.success(AdminReply(status: status, contentType: type ?? "text/plain", body: text, lease: lease)))
        connection.close()
    }

    private func finish(_ result: Result<AdminReply, AdminQueryFailure>) {
        timer?.disarm()
        let completion = self.completion
        self.completion = nil
        completion?(result)
    }
}
