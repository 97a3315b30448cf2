// SPDX-License-Identifier: MIT
// Which header fields an access log line shows, and which of them without their value.
// A plain value, any thread.

import PikoCore

/// The rules of `…access_log.request_headers` or `response_headers`.
struct HeaderFilter: Sendable {
    enum Verdict {
        case show, redact, hide
    }

    private let allowed: NameSet
    private let blocked: NameSet
    /// Fields whose values are shown only where the allow list names them.
    private let credentials = NameSet(["authorization", "cookie", "set-cookie", "proxy-authorization", "x-piko-authorization"])

    init(_ configuration: HeaderFilterConfiguration) {
        allowed = NameSet(configuration.allowList)
        blocked = NameSet(configuration.blockList)
    }

    func verdict(on name: UnsafeRawBufferPointer) -> Verdict {
        if !allowed.isEmpty { return allowed.contains(name) ? .show : .hide }
        if blocked.contains(name) { return .hide }
        return credentials.contains(name) ? .redact : .show
    }
}

/// A few field names, asked for many others: most are told apart by their length.
private struct NameSet: Sendable {
    private let names: [[UInt8]]
    /// Bit n: there is a name of n bytes; bit 63 for all longer ones.
    private let lengths: UInt64

    init(_ names: [String]) {
        self.names = names.map { Array($0.lowercased().utf8) }
        lengths = self.names.reduce(0) { $0 | Self.bit($1.count) }
    }

    var isEmpty: Bool { lengths == 0 }

    func contains(_ name: UnsafeRawBufferPointer) -> Bool {
        guard lengths & Self.bit(name.count) != 0 else { return false }
        return names.contains { $0.count == name.count && zip($0, name).allSatisfy { $0 == Self.lower($1) } }
    }

    private static func bit(_ length: Int) -> UInt64 { 1 << UInt64(min(length, 63)) }

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
