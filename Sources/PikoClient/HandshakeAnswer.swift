// SPDX-License-Identifier: MIT
// Reads a server's answer to a WebSocket upgrade: 101 with the right accept value, or a refusal with its JSON error. Pure apart from
// the digest; no sockets. Loop-confined, one for each attempt.

import PikoCore
import PikoEngine

/// The answer to an upgrade request, as it comes in.
struct HandshakeAnswer {
    enum Reading {
        case needsMore
        /// The answer's head took so many bytes; what follows is WebSocket.
        case upgraded(Int)
        case failed(DialFailure)
    }

    /// Offered and answered between our own processes: an empty binary message ends one direction.
    static let halfCloseField = "x-piko-half-close"
    private static let request: RequestTraits = {
        var traits = RequestTraits()
        traits.method = .get
        traits.isUpgrade = true
        return traits
    }()
    private static let headLimit = 16 * 1024
    private static let bodyLimit = 4096

    private var scanner = HeadScanner()
    private let head = ResponseHead(limits: HeadLimits(bytes: headLimit, fields: 100))
    private var refusedStatus: Int?
    private(set) var agreesToHalfClose = false
    /// Who answered, whatever the answer was.
    private(set) var node = AnsweringNode()

    /// Looks at everything that came so far; takes nothing before it is decided.
    mutating func read(_ bytes: UnsafeRawBufferPointer, key: String) -> Reading {
        switch scanner.next(bytes) {
        case .needsMore: return bytes.count > Self.headLimit ? .failed(.malformed("head too long")) : .needsMore
        case .malformed(let error): return .failed(.malformed(error.description))
        case .head(let count):
            if let fault = head.parse(UnsafeRawBufferPointer(rebasing: bytes[..<count]), answering: Self.request) {
                return .failed(.malformed(String(describing: fault.text)))
            }
            node = AnsweringNode(
                name: head.fields.value(named: "x-piko-node"), nodes: head.fields.value(named: "x-piko-nodes"))
            return decide(count, body: UnsafeRawBufferPointer(rebasing: bytes[count...]), key: key)
        }
    }

    private mutating func decide(_ count: Int, body: UnsafeRawBufferPointer, key: String) -> Reading {
        guard head.traits.status == 101 else { return refusal(body) }
        guard head.traits.isUpgrade, let accept = head.fields.value(of: .secWebSocketAccept),
            WebSocketHandshake.accept(for: key).map({ Array($0.utf8) == Array(accept) }) == true
        else { return .failed(.malformed("101 without a valid Sec-WebSocket-Accept")) }
        agreesToHalfClose = head.fields.value(named: "x-piko-half-close") != nil
        return .upgraded(count)
    }

    /// Waits for the whole body where its length is known and small, for the sake of the error's text.
    private mutating func refusal(_ body: UnsafeRawBufferPointer) -> Reading {
        refusedStatus = Int(head.traits.status)
        guard case .length(let length) = head.traits.framing, length <= Self.bodyLimit else {
            return .failed(.refused(status: Int(head.traits.status), text: ""))
        }
        guard UInt64(body.count) >= length else { return .needsMore }
        return .failed(.refused(status: Int(head.traits.status), text: ErrorText.read(body.prefix(Int(length)))))
    }

    /// What it means when the server hangs up now.
    var failureAtEnd: DialFailure {
        refusedStatus.map { .refused(status: $0, text: "") } ?? .transport(.truncated)
    }
}
