// SPDX-License-Identifier: MIT
// Which header fields an access log line shows, and which of them without their value.
// A plain value, any thread.

import PikoCore

/// The rules of `…access_log.request_headers` or `response_headers`.
struct HeaderFilter: Sendable {
    enum Verdict {
        case show, redact, hide
    }

    private let allowed: [[UInt8]]
    private let blocked: [[UInt8]]

    /// Fields that carry credentials: their values are shown only where the allow list names them.
    private static let credentials: [[UInt8]] = [
        "authorization", "cookie", "set-cookie", "proxy-authorization", "x-piko-authorization",
    ].map { Array($0.utf8) }

    init(_ configuration: HeaderFilterConfiguration) {
        allowed = configuration.allowList.map { Array($0.lowercased().utf8) }
        blocked = configuration.blockList.map { Array($0.lowercased().utf8) }
    }

    func verdict(on name: UnsafeRawBufferPointer) -> Verdict {
        if !allowed.isEmpty { return Self.contains(allowed, name) ? .show : .hide }
        if Self.contains(blocked, name) { return .hide }
        return Self.contains(Self.credentials, name) ? .redact : .show
    }

    private static func contains(_ names: [[UInt8]], _ name: UnsafeRawBufferPointer) -> Bool {
        for candidate in names where candidate.count == name.count {
            if zip(candidate, name).allSatisfy({ $0 == lower($1) }) { return true }
        }
        return false
    }

    private static func lower(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte }
}

extension UnsafeRawBufferPointer {
    /// Equal but for ASCII case: how field names compare.
    func equalsName(_ other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        for index in 0..<count where self[index] != other[index] {
            let (left, right) = (self[index] | 0x20, other[index] | 0x20)
            guard left == right, left >= 0x61, left <= 0x7A else { return false }
        }
        return true
    }
}
