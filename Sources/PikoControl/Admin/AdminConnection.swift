// SPDX-License-Identifier: MIT
// One client of the admin port: reads a request head, has it answered, reads the next.
// Control loop only. Takes no bodies.

import PikoCore
import PikoEngine

/// A connection on the admin port. Its connection holds it.
final class AdminConnection: ConnectionHandler {
    /// What answers, once, on the control loop.
    typealias Respond = (_ request: AdminRequest, _ answer: @escaping (AdminAnswer) -> Void) -> Void

    private static let limits = HeadLimits(bytes: 16 * 1024, fields: 100)
    /// Milliseconds for the first head, a TLS handshake included.
    private static let headPatience: UInt64 = 10_000
    /// Milliseconds from an answer to the end of the next head.
    private static let patience: UInt64 = 60_000

    private let connection: Connection
    private let gate: TokenGate?
    private let respond: Respond
    private let onRefusal: (_ status: UInt16) -> Void
    private let onClose: (AdminConnection) -> Void
    private var scanner = HeadScanner()
    private let head = RequestHead(limits: AdminConnection.limits)
    private var timer: Timer?
    /// When it began to wait for a head, on the loop's clock; nil: it has an answer under way.
    private(set) var idleSince: UInt64?
    private var hasAnswered = false
    /// Of the verdict on a token that is waited for.
    private var ticket: UInt64?
    /// On an answer that has not left yet.
    private var lease: ByteBudget.Lease?

    init(
        _ connection: Connection, gate: TokenGate?, respond: @escaping Respond, onRefusal: @escaping (_ status: UInt16) -> Void,
        onClose: @escaping (AdminConnection) -> Void
    ) {
        self.connection = connection
        self.gate = gate
        self.respond = respond
        self.onRefusal = onRefusal
        self.onClose = onClose
        idleSince = connection.loop.now
    }

    func start() {
        connection.handler = self
        connection.setKeptLimit(Self.limits.bytes)
        timer = Timer(on: connection.loop) { [unowned self] in giveUp() }
        timer?.arm(Self.headPatience)
        connection.startReading()
    }

    func abort() { connection.abort() }

    /// Between requests nothing need come; who owes a head, or has not read its answer, is counted.
    private func giveUp() {
        let isAtRest = hasAnswered && connection.keptCount == 0 && connection.queued == 0
        if !isAtRest { onRefusal(408) }
        connection.abort()
    }

    func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int {
        // Who does not read its answers is asked nothing more.
        guard idleSince != nil, connection.queued == 0 else { return 0 }
        switch scanner.next(bytes) {
        case .needsMore:
            if bytes.count < Self.limits.bytes { return 0 }
            refuse(431, "head too large")
            return bytes.count
        case .malformed:
            refuse(400, "malformed head")
            return bytes.count
        case .head(let count):
            didReadHead(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            return count
        }
    }

    private func didReadHead(_ bytes: UnsafeRawBufferPointer) {
        scanner.reset()
        if let fault = head.parse(bytes) {
            return refuse(fault.status, String(describing: fault.text))
        }
        let closes = !head.traits.keepAlive || head.traits.framing != .empty
        guard head.traits.method == .get || head.traits.method == .head else {
            return refuse(405, "method not allowed", closes: closes)
        }
        idleSince = nil
        timer?.disarm()
        let target = String(decoding: head.pathAndQuery, as: UTF8.self)
        let isForwarded = head.fields.value(of: .xPikoForward) != nil
        var request = AdminRequest(target, isForwarded: isForwarded)
        request.credentials = credentials
        admit(request) { [self] fault in
            guard let fault else { return respond(request) { [self] in finish($0, closes: closes) } }
            gate?.tokens.count(fault)
            finish(.error(fault.status, String(describing: fault.text)), closes: closes)
        }
    }

    /// Tells, at once or in a later turn, why the request is not answered; nil: it is.
    private func admit(_ request: AdminRequest, _ then: @escaping (TokenFault?) -> Void) {
        guard let gate, gate.tokens.areAsked, request.needsToken else { return then(nil) }
        switch gate.admit(head) {
        case .granted: then(nil)
        case .refused(let fault): then(fault)
        case .unverified(let question):
            ticket = gate.ask(question) { [self] verdict in
                ticket = nil
                if case .failure(let fault) = verdict { then(fault) } else { then(nil) }
            }
        }
    }

    private var credentials: [(name: String, value: String)] {
        let fields: [(String, KnownField)] = [("x-piko-authorization", .xPikoAuthorization), ("authorization", .authorization)]
        return fields.compactMap { name, known in head.fields.value(of: known).map { (name, String(decoding: $0, as: UTF8.self)) } }
    }

    private func refuse(_ status: UInt16, _ reason: String, closes: Bool = true) {
        onRefusal(status)
        finish(.error(status, reason), closes: closes)
    }

    private func finish(_ answer: AdminAnswer, closes: Bool) {
        idleSince = connection.loop.now
        hasAnswered = true
        let reason = String(describing: ErrorResponse.reason(answer.status))
        connection.write(
            """
            HTTP/1.1 \(answer.status) \(reason)\r
            date: \(TimeOfDay.date)\r
            content-type: \(answer.contentType)\r
            content-length: \(answer.body.utf8.count)\r
            \(ErrorResponse.hint(answer.status))\(closes ? "connection: close\r\n" : "")\r

            """, more: true)
        connection.write(head.traits.method == .head ? "" : answer.body)
        if connection.queued > 0 {
            lease = answer.lease
            connection.watchDrain()
        }
        timer?.arm(closes ? 1000 : Self.patience)
        if closes { connection.shut() } else if connection.queued == 0 { connection.resume() }
    }

    func connectionDidDrain(_ connection: Connection) {
        guard connection.queued == 0 else { return }
        lease = nil
        if idleSince != nil { connection.resume() }
    }

    func connectionDidEnd(_ connection: Connection) { connection.close() }

    func connectionDidClose(_ connection: Connection, error: EngineError?) {
        timer = nil
        lease = nil
        if let ticket { gate?.cancel(ticket) }
        onClose(self)
    }
}
