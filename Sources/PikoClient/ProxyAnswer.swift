// SPDX-License-Identifier: MIT
// Reads a proxy's answer to CONNECT (RFC 9110 9.3.6): open, or why not. Pure, no sockets. Loop-confined, one for each attempt.
// Of the head only the status line counts: proxies are not servers of ours, and their fields mean nothing here.

import PikoCore
import PikoEngine

/// Why a proxy let nothing through.
public enum ProxyFailure: Error, Sendable, Equatable {
    case unreachable(EngineError)
    /// Its status and the words beside it.
    case refused(status: Int, reason: String)
    case malformed(String)

    var isTransient: Bool {
        switch self {
        case .unreachable: true
        case .refused(let status, _): [408, 429, 500, 502, 503, 504].contains(status)
        case .malformed: false
        }
    }

    var text: String {
        switch self {
        case .unreachable(let error): error.description
        case .refused(407, _): "status 407: it wants a user and a password, or other ones"
        case .refused(let status, let reason): reason.isEmpty ? "refused with status \(status)" : "refused with status \(status): \(reason)"
        case .malformed(let what): "unexpected answer: \(what)"
        }
    }
}

/// The answer to CONNECT, as it comes in.
struct ProxyAnswer {
    enum Reading {
        case needsMore
        /// The answer's head took so many bytes; what follows is the server's.
        case open(Int)
        case failed(ProxyFailure)
    }

    static let headLimit = 16 * 1024
    private static let reasonLimit = 100

    private var scanner = HeadScanner()

    /// Looks at everything that came so far; takes nothing before it is decided.
    mutating func read(_ bytes: UnsafeRawBufferPointer) -> Reading {
        switch scanner.next(bytes) {
        case .needsMore: bytes.count > Self.headLimit ? .failed(.malformed("head too long")) : .needsMore
        case .malformed(let error): .failed(.malformed(error.description))
        case .head(let count): Self.decide(bytes[..<count].prefix { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }, count)
        }
    }

    /// HTTP-version SP status-code [SP reason-phrase] (RFC 9112 4).
    private static func decide(_ line: Slice<UnsafeRawBufferPointer>, _ count: Int) -> Reading {
        let bytes = Array(line)
        let digits = bytes.dropFirst(9).prefix(3)
        guard bytes.starts(with: "HTTP/1.".utf8), bytes.count >= 12, bytes[8] == UInt8(ascii: " "), bytes.count == 12 || bytes[12] == UInt8(ascii: " "),
            digits.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 })
        else { return .failed(.malformed("no HTTP")) }
        let status = digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        if (200...299).contains(status) { return .open(count) }
        let reason = bytes.dropFirst(13).prefix(reasonLimit).map { $0 < 0x20 || $0 >= 0x7F ? UInt8(ascii: "?") : $0 }
        return .failed(.refused(status: status, reason: String(decoding: reason, as: UTF8.self)))
    }
}
