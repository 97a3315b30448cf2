// SPDX-License-Identifier: MIT
// One GET of a page and its answer, whole: of another node's admin port, or of whoever publishes a key set. Lives on the loop it is started on.
// Follows no redirect, keeps no connection, and bounds what it reads.

import PikoCore
import PikoEngine

/// Why a page was not got.
public struct PageFailure: Error, Sendable {
    /// One line.
    public var reason: String
}

/// What was answered.
struct PageReply: Sendable {
    var status: UInt16
    var contentType: String
    var body: [UInt8]
    /// On the bytes of the body, where they are counted.
    var lease: ByteBudget.Lease?

    var text: String { String(decoding: body, as: UTF8.self) }
}

/// What is asked for, and of whom.
struct PageRequest: Sendable {
    /// Its path stands in front of the target's.
    var url: ConfiguredURL
    /// Path and query; begins with a slash.
    var target: String
    var fields: [(name: String, value: String)] = []
    /// For a URL of https; nil: the system's roots.
    var tls: TLSIdentity?
    /// Milliseconds from `start` to the end of the answer.
    var timeout: UInt64
    /// Bytes of a body; a longer one is a failure.
    var longest = 64 * 1024 * 1024
}

/// The request and its answer. Loop-confined; its dial and its connection hold it until its completion has run, once, in a later turn.
final class PageExchange: ConnectionHandler {
    typealias Completion = (Result<PageReply, PageFailure>) -> Void

    private let request: PageRequest
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
    private var chunks = ChunkedText()

    /// - Parameter lease: takes the bytes of the answer; nil: they are not counted.
    init(_ request: PageRequest, lease: ByteBudget.Lease? = nil, on loop: EventLoop, completion: @escaping Completion) {
        self.request = request
        self.lease = lease
        self.loop = loop
        self.completion = completion
    }

    func start() {
        timer = Timer(on: loop) { [unowned self] in late() }
        timer?.arm(request.timeout)
        let tls = request.url.scheme == .https ? request.tls?.context ?? .systemRoots : nil
        dial = Dialer.dial(
            host: request.url.host, port: request.url.port, timeout: request.timeout, tls: tls, serverName: request.tls?.serverName, on: loop
        ) { [self] in
            dial = nil
            switch $0 {
            case .success(let connection): didConnect(connection)
            case .failure(let error): finish(.failure(PageFailure(reason: error.description)))
            }
        }
    }

    /// Ends it; the completion does not run.
    func cancel() {
        completion = nil
        stop()
    }

    private func late() {
        finish(.failure(PageFailure(reason: EngineError.timeout.description)))
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
        let fields = request.fields.map { "\($0.name): \($0.value)\r\n" }.joined()
        connection.write(
            """
            GET \(request.url.path)\(request.target) HTTP/1.1\r
            host: \(request.url.authority)\r
            accept: application/json\r
            user-agent: piko\r
            connection: close\r
            \(fields)\r

            """)
        connection.startReading()
    }

    func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int {
        if status != 0 { return readBody(bytes, connection) }
        guard case .head(let count) = scanner.next(bytes) else { return 0 }
        if let fault = head.parse(UnsafeRawBufferPointer(rebasing: bytes[..<count]), answering: RequestTraits()) {
            return giveUp(String(describing: fault.text), bytes, connection)
        }
        scanner.reset()
        if head.traits.isInterim { return count }
        status = head.traits.status
        if head.traits.framing == .empty { finish(on: connection) }
        return count
    }

    private func readBody(_ bytes: UnsafeRawBufferPointer, _ connection: Connection) -> Int {
        guard body.count + chunks.payload.count + bytes.count <= request.longest, lease?.take(bytes.count) ?? true else {
            return giveUp("an answer too long", bytes, connection)
        }
        switch head.traits.framing {
        case .chunked:
            chunks.take(bytes)
            if chunks.isBroken { return giveUp("a malformed body", bytes, connection) }
            if chunks.isOver { finish(on: connection) }
        case .length(let length):
            body += bytes
            if body.count >= length { finish(on: connection) }
        case .empty, .untilClose: body += bytes
        }
        return bytes.count
    }

    private func giveUp(_ reason: String, _ bytes: UnsafeRawBufferPointer, _ connection: Connection) -> Int {
        finish(.failure(PageFailure(reason: reason)))
        connection.abort()
        return bytes.count
    }

    func connectionDidEnd(_ connection: Connection) {
        if status != 0, head.traits.framing == .untilClose { finish(on: connection) } else { connection.close() }
    }

    func connectionDidClose(_ connection: Connection, error: EngineError?) {
        self.connection = nil
        finish(.failure(PageFailure(reason: error?.description ?? "closed before the answer")))
    }

    private func finish(on connection: Connection) {
        let type = head.fields.value(named: "content-type").map { String(decoding: $0, as: UTF8.self) }
        let whole = head.traits.framing == .chunked ? chunks.payload : body
        finish(.success(PageReply(status: status, contentType: type ?? "text/plain", body: whole, lease: lease)))
        connection.close()
    }

    private func finish(_ result: Result<PageReply, PageFailure>) {
        timer?.disarm()
        let completion = self.completion
        self.completion = nil
        completion?(result)
    }
}
