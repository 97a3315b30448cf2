// SPDX-License-Identifier: MIT
// The URLs of the configuration: where a server or a service is. Only scheme, host, port and path; no user, query or fragment.
// A plain value.

/// An `http` or `https` URL. `ws` and `wss` mean the same and are read as `http` and `https`.
public struct ConfiguredURL: Hashable, Sendable, CustomStringConvertible {
    public enum Scheme: String, Sendable {
        case http, https
    }

    public var scheme: Scheme
    /// A name or a numeric address without brackets. Never empty.
    public var host: String
    public var port: UInt16
    /// The path in front of every request's path: empty, or with a leading slash and without a trailing one.
    public var path: String

    public init(scheme: Scheme = .http, host: String, port: UInt16, path: String = "") {
        self.scheme = scheme
        self.host = host
        self.port = port
        self.path = path
    }

    /// nil for another scheme, no host, a bad port, or a query, fragment, user, blank or control byte anywhere.
    public init?(_ text: some StringProtocol) {
        let text = Substring(text)
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !Self.refused.contains($0) }) else { return nil }
        guard let (scheme, rest) = Self.scheme(text) else { return nil }
        let slash = rest.utf8.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
        guard let place = Self.authority(rest[..<slash], scheme), !place.host.isEmpty else { return nil }
        self.init(scheme: scheme, host: place.host, port: place.port, path: Self.prefix(rest[slash...]))
    }

    /// The value of a Host header: the port only where it is not the scheme's own, and no zone, which says something here only
    /// (RFC 6874 4).
    public var authority: String {
        let name = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host.prefix { $0 != "%" })]" : host
        return port == Self.defaultPort(scheme) ? name : "\(name):\(port)"
    }

    public var hostPort: HostPort { HostPort(host: host, port: port) }

    public var description: String { "\(scheme.rawValue)://\(authority)\(path)" }

    private static let refused: [UInt8] = Array("@?#\\\"<>^`{|}".utf8)

    private static func scheme(_ text: Substring) -> (Scheme, Substring)? {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let rest = text[colon...]
        guard rest.utf8.starts(with: "://".utf8) else { return nil }
        switch text[..<colon].lowercased() {
        case "http", "ws": return (.http, rest.dropFirst(3))
        case "https", "wss": return (.https, rest.dropFirst(3))
        default: return nil
        }
    }

    private static func authority(_ text: Substring, _ scheme: Scheme) -> HostPort? {
        HostPort(text) ?? HostPort("\(text):\(defaultPort(scheme))")
    }

    private static func prefix(_ path: Substring) -> String {
        var path = path
        while path.utf8.last == UInt8(ascii: "/") { path = path.dropLast() }
        return String(path)
    }

    private static func defaultPort(_ scheme: Scheme) -> UInt16 { scheme == .http ? 80 : 443 }
}
