// SPDX-License-Identifier: MIT
// Where a JSON Web Key Set is: the URL of `auth.jwks.endpoint` taken apart.
// A plain value.

/// A file or a page.
public enum KeySetPlace: Equatable, Sendable {
    case file(path: String)
    /// `target`: path and query as they are asked for, beginning with a slash.
    case page(ConfiguredURL, target: String)

    /// From an `http`, `https` or `file` URL. nil for anything else, a user, a fragment, or a file on another host.
    public init?(_ text: String) {
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }) else { return nil }
        guard let mark = text.firstIndex(of: ":"), text[mark...].hasPrefix("://") else { return nil }
        let rest = text[mark...].dropFirst(3)
        let slash = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let (host, target) = (rest[..<slash], rest[slash...])
        if text[..<mark].lowercased() == "file" {
            guard host.isEmpty || host == "localhost", target.count > 1, target.hasPrefix("/") else { return nil }
            guard let bytes = PercentEncoding.decode(target.utf8), !bytes.contains(0), let path = String(validating: bytes, as: UTF8.self) else { return nil }
            self = .file(path: path)
            return
        }
        guard ["http", "https"].contains(text[..<mark].lowercased()), let url = ConfiguredURL(text[..<slash]) else { return nil }
        self = .page(url, target: target.hasPrefix("/") ? String(target) : "/\(target)")
    }
}
