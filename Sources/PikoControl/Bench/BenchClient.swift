// SPDX-License-Identifier: MIT
// One client of a benchmark: a connection to the proxy port that sends its share of the requests, one after the other, and
// checks each answer. Loop-confined; its BenchLoop holds it. A request that fails counts as sent and is not tried again.

import PikoClient
import PikoCore
import PikoEngine

/// A connection that asks.
final class BenchClient: ConnectionHandler {
    private enum Phase {
        case idle, head, body(left: UInt64)
    }

    private unowned let owner: BenchLoop
    private var remaining: Int
    private var connection: Connection?
    private var timer: Timer?
    private var phase = Phase.idle
    private var scanner = HeadScanner()
    private let head = ResponseHead(limits: HeadLimits(bytes: 64 * 1024, fields: 128))
    private let request = HeadWriter()
    private var startedAt: UInt64 = 0
    private var status: UInt16 = 0
    private var isStopping = false
    /// Which endpoint is next: xorshift, since a good random number costs a system call.
    private var random = UInt64.random(in: 1 ... .max)

    /// Milliseconds before the next attempt when the server was not reached.
    private static let pause: UInt64 = 100

    init(requests: Int, owner: BenchLoop) {
        remaining = requests
        self.owner = owner
    }

    func start() {
        timer = Timer(on: owner.loop) { [unowned self] in didWait() }
        dial()
    }

    /// Ends now, whatever is under way.
    func stop() {
        isStopping = true
        if let connection { connection.abort() } else if timer != nil { finish() }
    }

    private func dial() {
        let connect = owner.configuration.connect
        let milliseconds = connect.timeout.wholeMilliseconds
        ServerDial.dial(
            connect.proxyURL.hostPort, through: connect.proxyRoute, tls: connect.proxyURL.scheme == .https ? owner.tls?.context : nil,
            timeout: milliseconds, on: owner.loop
        ) { [self] in
            switch $0 {
            case .success(let connection): didConnect(connection)
            case .failure(let failure): didNotConnect(failure)
            }
        }
    }

    private func didConnect(_ connection: Connection) {
        guard !isStopping else { return connection.abort() }
        owner.openConnections += 1
        self.connection = connection
        connection.handler = self
        connection.startReading()
        send(on: connection)
    }

    private func didNotConnect(_ failure: DialFailure) {
        guard !isStopping else { return }
        fail(failure.description)
        if remaining == 0 { finish() } else { timer?.arm(Self.pause) }
    }

    private func didWait() {
        if let connection {
            fail("timeout")
            connection.abort()
        } else {
            dial()
        }
    }

    // MARK: A request

    private func send(on connection: Connection) {
        guard remaining > 0 else { return connection.close() }
        let payload = owner.payload
        request.clear()
        request.append(owner.requestHead.withUnsafeBytes { $0 })
        request.append(number: nextEndpoint())
        request.append("\r\n\r\n")
        phase = .head
        startedAt = EventLoop.nanoseconds
        timer?.arm(owner.configuration.connect.timeout.wholeMilliseconds)
        connection.write(request.bytes, more: payload.count > 0)
        if payload.count > 0 { _ = payload.withBytes { connection.write($0) } }
    }

    private func nextEndpoint() -> UInt64 {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        return random % UInt64(owner.configuration.endpoints)
    }

    func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int {
        switch phase {
        case .idle: return bytes.count
        case .head: return readHead(bytes, connection)
        case .body(let left): return readBody(bytes, left, connection)
        }
    }

    private func readHead(_ bytes: UnsafeRawBufferPointer, _ connection: Connection) -> Int {
        guard case .head(let count) = scanner.next(bytes) else { return 0 }
        scanner.reset()
        if let fault = head.parse(UnsafeRawBufferPointer(rebasing: bytes[..<count]), answering: owner.requestTraits) {
            return giveUp(String(describing: fault.text), bytes, connection)
        }
        if head.traits.isInterim { return count }
        status = head.traits.status
        switch head.traits.framing {
        case .empty: complete(on: connection)
        case .length(let length): phase = .body(left: length)
        case .chunked, .untilClose: return giveUp("an answer without a length", bytes, connection)
        }
        return count
    }

    private func readBody(_ bytes: UnsafeRawBufferPointer, _ left: UInt64, _ connection: Connection) -> Int {
        let count = Int(min(left, UInt64(bytes.count)))
        let part = UnsafeRawBufferPointer(rebasing: bytes[..<count])
        let offset = owner.payload.count - Int(clamping: left)
        if status == 200, offset < 0 || !owner.payload.matches(part, at: offset) {
            return giveUp("an answer with another body", bytes, connection)
        }
        phase = .body(left: left - UInt64(count))
        if left == UInt64(count) { complete(on: connection) }
        return count
    }

    private func complete(on connection: Connection) {
        timer?.disarm()
        phase = .idle
        remaining -= 1
        if status == 200 {
            owner.latency.record(EventLoop.nanoseconds &- startedAt)
        } else {
            owner.didFail("status \(status)")
        }
        if head.traits.keepAlive { send(on: connection) } else { connection.close() }
    }

    private func giveUp(_ reason: String, _ bytes: UnsafeRawBufferPointer, _ connection: Connection) -> Int {
        fail(reason)
        connection.abort()
        return bytes.count
    }

    private func fail(_ reason: String) {
        timer?.disarm()
        phase = .idle
        remaining -= 1
        owner.didFail(reason)
    }

    // MARK: The end of a connection

    func connectionDidEnd(_ connection: Connection) { connection.close() }

    func connectionDidClose(_ connection: Connection, error: EngineError?) {
        self.connection = nil
        scanner.reset()
        owner.openConnections -= 1
        if !isStopping, case .idle = phase {} else if !isStopping { fail(error?.description ?? "closed by the server") }
        if remaining == 0 || isStopping { finish() } else { dial() }
    }

    private func finish() {
        timer = nil
        owner.clientDidEnd()
    }
}
