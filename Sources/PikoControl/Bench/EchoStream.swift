// SPDX-License-Identifier: MIT
// The service of a benchmark: answers each request on one stream with its own body. Loop-confined; its connection holds it.
// Takes requests with a length only, which is what the benchmark's clients send.

import PikoCore
import PikoEngine

/// One stream through a benchmark's tunnel.
final class EchoStream: ConnectionHandler {
    private let onClose: () -> Void
    private var scanner = HeadScanner()
    private let head = RequestHead(limits: HeadLimits(bytes: 16 * 1024, fields: 64))
    private let answer = HeadWriter()
    /// Bytes of the request's body still to come.
    private var left: UInt64 = 0

    /// A stream reads nothing more while so much of its answer is queued.
    private static let queueLimit = 256 * 1024

    init(onClose: @escaping () -> Void) { self.onClose = onClose }

    func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int {
        left > 0 ? readBody(bytes, connection) : readHead(bytes, connection)
    }

    private func readHead(_ bytes: UnsafeRawBufferPointer, _ connection: Connection) -> Int {
        guard case .head(let count) = scanner.next(bytes) else {
            if bytes.count > 16 * 1024 { connection.abort() }
            return 0
        }
        scanner.reset()
        guard head.parse(UnsafeRawBufferPointer(rebasing: bytes[..<count])) == nil, let length else {
            connection.abort()
            return bytes.count
        }
        left = length
        answer.clear()
        answer.append("HTTP/1.1 200 OK\r\ncontent-length: ")
        answer.append(number: length)
        answer.append("\r\n\r\n")
        connection.write(answer.bytes, more: length > 0)
        return count
    }

    private var length: UInt64? {
        switch head.traits.framing {
        case .empty: 0
        case .length(let length): length
        case .chunked, .untilClose: nil
        }
    }

    private func readBody(_ bytes: UnsafeRawBufferPointer, _ connection: Connection) -> Int {
        let count = Int(min(left, UInt64(bytes.count)))
        left -= UInt64(count)
        connection.write(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        if connection.queued > Self.queueLimit {
            connection.stopReading()
            connection.watchDrain()
        }
        return count
    }

    func connectionDidDrain(_ connection: Connection) {
        if connection.queued < Self.queueLimit / 4 { connection.startReading() }
    }

    func connectionDidEnd(_ connection: Connection) { connection.close() }

    func connectionDidClose(_ connection: Connection, error: EngineError?) { onClose() }
}
