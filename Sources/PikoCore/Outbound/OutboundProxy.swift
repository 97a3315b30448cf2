// SPDX-License-Identifier: MIT
// An HTTP proxy on the way to a server: where it is, and who it is told to let through. A plain value.
// Its description never shows user or password.

/// A proxy that is asked with CONNECT (RFC 9110 9.3.6).
public struct OutboundProxy: Hashable, Sendable, CustomStringConvertible {
    /// How the proxy itself is spoken to.
    public var scheme: ConfiguredURL.Scheme
    /// A name or a numeric address without brackets.
    public var host: String
    public var port: UInt16
    /// Decoded; nil: none.
    public var user: String?
    public var password = ""

    public init(scheme: ConfiguredURL.Scheme = .http, host: String, port: UInt16, user: String? = nil, password: String = "") {
        self.scheme = scheme
        self.host = host
        self.port = port
        self.user = user
        self.password = password
    }

    /// Reads `http://user:password@host:port`: the scheme is http where it is missing, the port that of the scheme, user and password are
    /// percent-encoded. nil for another scheme, a path other than "/", no host.
    public init?(_ text: some StringProtocol) {
        let text = String(text)
        let url = Self.schemeEnd(text) == nil ? "http://\(text)" : text
        guard let start = Self.schemeEnd(url) else { return nil }
        let begin = url.utf8.index(start, offsetBy: 3)
        let at = url.utf8.lastIndex(of: UInt8(ascii: "@"))
        let place = at.map { String(url[..<begin]) + String(url[url.utf8.index(after: $0)...]) } ?? url
        guard ["http", "https"].contains(url[..<start].lowercased()), let read = ConfiguredURL(place), read.path.isEmpty else { return nil }
        self.init(scheme: read.scheme, host: read.host, port: read.port)
        guard let at else { return }
        guard at >= begin, let (user, password) = Self.credentials(url[begin..<at]) else { return nil }
        self.user = user
        self.password = password
    }

    private static func schemeEnd(_ text: String) -> String.Index? {
        text.utf8.indices.first { text.utf8[$0...].starts(with: "://".utf8) }
    }

    private static func credentials(_ text: Substring) -> (String, String)? {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let user = decoded(parts[0]), let password = decoded(parts.count > 1 ? parts[1] : "") else { return nil }
        // The first colon of what is sent ends the user (RFC 7617 2).
        return user.utf8.contains(UInt8(ascii: ":")) ? nil : (user, password)
    }

    private static func decoded(_ text: Substring) -> String? {
        guard let bytes = PercentEncoding.decode(text.utf8), bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    /// The value of Proxy-Authorization (RFC 7617); nil without a user.
    public var authorization: String? { user.map { "Basic " + Base64.text(Array("\($0):\(password)".utf8)) } }

    /// What a user's mistake is told.
    static let expected = "an http or https URL such as http://user:password@localhost:3128"

    /// Reads back as the proxy; has the password.
    var text: String {
        let user = user.map { "\(PercentEncoding.pathSegment($0)):\(PercentEncoding.pathSegment(password))@" } ?? ""
        return "\(scheme.rawValue)://\(user)\(HostPort(host: host, port: port))"
    }

    public var description: String { HostPort(host: host, port: port).description }
}

/// Base64 (RFC 4648 4), with padding.
enum Base64 {
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func text(_ bytes: [UInt8]) -> String {
        var out: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for digit in 0..<4 {
                out.append(digit <= group.count ? digits[Int(bits >> UInt32(18 - 6 * digit) & 63)] : UInt8(ascii: "="))
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
