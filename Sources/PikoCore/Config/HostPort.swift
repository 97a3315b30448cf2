// SPDX-License-Identifier: MIT
// A host and a port as a user writes them: ":8000", "localhost:8000", "[::1]:8000", and where a command allows it "8000".
// A plain value; resolving the name is the engine's work.

/// A host and port. An empty host means all interfaces when bound to, and this machine when dialled.
public struct HostPort: Hashable, Sendable, CustomStringConvertible {
    /// A name or a numeric address without brackets. May be empty.
    public var host: String
    public var port: UInt16

    public init(host: String = "", port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Reads `host:port`, `:port` or `[v6]:port`. nil for anything else, an address of IPv6 without brackets included.
    public init?(_ text: some StringProtocol) {
        guard let (host, port) = Self.split(Substring(text)), let number = Self.port(port) else { return nil }
        self.init(host: String(host), port: number)
    }

    /// Reads what `init(_:)` reads and a port alone, which then belongs to `host`.
    public init?(_ text: some StringProtocol, portAloneOn host: String) {
        if let port = Self.port(Substring(text)) {
            self.init(host: host, port: port)
        } else {
            self.init(text)
        }
    }

    public var description: String {
        host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    private static func split(_ text: Substring) -> (host: Substring, port: Substring)? {
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else { return nil }
        let port = text[text.utf8.index(after: colon)...]
        let head = text[..<colon]
        guard head.utf8.first == UInt8(ascii: "[") else {
            return head.utf8.allSatisfy(isHostByte) ? (head, port) : nil
        }
        guard head.utf8.last == UInt8(ascii: "]") else { return nil }
        let inner = head.dropFirst().dropLast()
        guard inner.utf8.contains(UInt8(ascii: ":")), inner.utf8.allSatisfy(isAddressByte) else { return nil }
        return (inner, port)
    }

    private static func port(_ text: Substring) -> UInt16? {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
        return UInt16(text)
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }

    private static func isAddressByte(_ byte: UInt8) -> Bool {
        isHostByte(byte) || byte == UInt8(ascii: ":") || byte == UInt8(ascii: "%")
    }
}
