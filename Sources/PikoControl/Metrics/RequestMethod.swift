// SPDX-License-Identifier: MIT
// The methods that metrics tell apart.
// Any token is a method, and a client chooses it, so all others are one. Pure.

/// A method as a label.
enum RequestMethod: UInt8, CaseIterable {
    case get, head, post, put, delete, patch, options, connect, trace, other

    var label: String { name.description }

    private var name: StaticString {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .delete: "DELETE"
        case .patch: "PATCH"
        case .options: "OPTIONS"
        case .connect: "CONNECT"
        case .trace: "TRACE"
        case .other: "OTHER"
        }
    }

    /// By its bytes, which are case-sensitive (RFC 9110 9.1).
    init(_ bytes: UnsafeRawBufferPointer) {
        self = Self.candidate(bytes).map { Self.matches($0, bytes) ? $0 : .other } ?? .other
    }

    /// The only one it can be, by length and first bytes.
    private static func candidate(_ bytes: UnsafeRawBufferPointer) -> RequestMethod? {
        switch bytes.count {
        case 3: bytes[0] == UInt8(ascii: "G") ? .get : .put
        case 4: bytes[0] == UInt8(ascii: "P") ? .post : .head
        case 5: bytes[0] == UInt8(ascii: "P") ? .patch : .trace
        case 6: .delete
        case 7: bytes[0] == UInt8(ascii: "O") ? .options : .connect
        default: nil
        }
    }

    private static func matches(_ method: RequestMethod, _ bytes: UnsafeRawBufferPointer) -> Bool {
        let name = method.name
        for index in 0..<bytes.count where bytes[index] != name.utf8Start[index] { return false }
        return true
    }
}
