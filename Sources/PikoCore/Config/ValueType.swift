// SPDX-License-Identifier: MIT
// The types that a key can have: how its text is read, what it looks like in help, and what an error says was expected.
// Pure.

/// How a value is written in flags and files.
public struct ValueType<Value: Equatable> {
    /// The placeholder in help, such as "DURATION". Empty for a boolean, which needs no value.
    let placeholder: String
    /// What an error says: "expected …".
    private(set) var expected: String
    /// From all texts that were given: one for a scalar, any number for a list. nil: not such a value.
    private(set) var read: ([String]) -> Value?
    /// The text that reads back as the value; empty for none.
    let write: (Value) -> String
    var isList = false
    var isSecret = false
    /// A key that is given with nothing behind it (an empty text or list, in a file also null) is as good as left out.
    private(set) var takesNothing = true

    /// The same, but given with nothing behind it a mistake, unless a file says so by an empty text: of keys that protect something, or a variable
    /// without a value would take the protection away unseen.
    func neverEmpty(_ expected: String? = nil) -> Self {
        var type = self
        type.expected = expected ?? self.expected
        type.takesNothing = false
        type.read = { [read] texts in texts.contains { !$0.isEmpty } ? read(texts) : nil }
        return type
    }

    private init(
        _ placeholder: String, _ expected: String, read: @escaping (String) -> Value?, write: @escaping (Value) -> String
    ) {
        self.placeholder = placeholder
        self.expected = expected
        self.read = { $0.count == 1 ? read($0[0]) : nil }
        self.write = write
    }
}

extension ValueType<Bool> {
    static var boolean: Self {
        Self("", "true or false", read: Self.parse) { $0 ? "true" : "false" }
    }

    private static func parse(_ text: String) -> Bool? {
        switch text {
        case "true", "True", "TRUE", "t", "T", "1": true
        case "false", "False", "FALSE", "f", "F", "0": false
        default: nil
        }
    }
}

extension ValueType<String> {
    static var text: Self { Self("TEXT", "a text", read: { $0 }, write: { $0 }) }

    static var path: Self { Self("FILE", "a path", read: { $0 }, write: { $0 }).neverEmpty() }

    /// What becomes a header's value: no blanks, no controls. Never shown in an error.
    static var token: Self {
        var type = Self("TOKEN", "visible ASCII characters without blanks", read: { Self.visible($0) ? $0 : nil }, write: { $0 })
        type.isSecret = true
        return type.neverEmpty()
    }

    /// A node's id, or the beginning of one. Heads have lists of them, so a comma would make two of one.
    static var nodeID: Self {
        let expected = "visible ASCII characters without blanks and commas"
        return Self("ID", expected, read: { Self.visible($0) && !$0.utf8.contains(UInt8(ascii: ",")) ? $0 : nil }, write: { $0 })
    }

    /// A key or PEM text. Never shown in an error.
    static func secret(_ expected: String) -> Self {
        var type = text.neverEmpty(expected)
        type.isSecret = true
        return type
    }

    /// A status of nodes (NodeStatus).
    static var nodeStatus: Self {
        Self("STATUS", "active, unreachable or left", read: { NodeStatus(rawValue: $0)?.rawValue }, write: { $0 })
    }

    /// What becomes one segment of a request's path, as it is.
    static var endpoint: Self {
        Self("ENDPOINT", "an endpoint id of letters, digits and - . _ ~ : @", read: { isEndpoint($0) ? $0 : nil }, write: { $0 })
    }

    private static func visible(_ text: String) -> Bool { text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } }

    private static func isEndpoint(_ text: String) -> Bool {
        guard !text.isEmpty, text != ".", text != "..", text.utf8.count <= 255 else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
            default: "-._~:@".utf8.contains(byte)
            }
        }
    }
}

extension ValueType<[String]> {
    static var texts: Self { .texts("a list of texts") { _ in true } }

    /// Of HTTP: tokens of RFC 9110 5.1.
    static var fieldNames: Self { .texts("a list of header names") { !$0.isEmpty && $0.utf8.allSatisfy(ByteClass.isToken) } }

    private static func texts(_ expected: String, _ isOne: @escaping (String) -> Bool) -> Self {
        .list("LIST", expected, read: { $0.allSatisfy(isOne) ? $0 : nil }, write: { $0.joined(separator: ",") })
    }
}

extension ValueType {
    /// The blanks around an element are none of it.
    fileprivate static func list(
        _ placeholder: String, _ expected: String, read: @escaping ([String]) -> Value?, write: @escaping (Value) -> String
    ) -> Self {
        var type = Self(placeholder, expected, read: { read($0.map(trimmed)) }, write: write)
        type.isList = true
        return type
    }

    private static func trimmed(_ text: String) -> String {
        guard let first = text.firstIndex(where: { !$0.isWhitespace }), let last = text.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(text[first...last])
    }

    private init(_ placeholder: String, _ expected: String, read: @escaping ([String]) -> Value?, write: @escaping (Value) -> String) {
        self.placeholder = placeholder
        self.expected = expected
        self.read = read
        self.write = write
    }
}

extension ValueType<[GossipSecret]> {
    /// Never shown in an error.
    static var gossipSecrets: Self {
        let read: ([String]) -> [GossipSecret]? = { texts in
            let secrets = texts.compactMap { GossipSecret($0) }
            return secrets.count == texts.count && Set(secrets).count == secrets.count ? secrets : nil
        }
        let expected = "different keys of 32 bytes, each in 64 hex digits or in base64"
        var type = Self.list("KEYS", expected, read: read) { $0.map(\.text).joined(separator: ",") }
        type.isSecret = true
        return type.neverEmpty()
    }
}

extension ValueType<Int> {
    static func integer(_ range: ClosedRange<Int>) -> Self {
        let expected = "a whole number from \(range.lowerBound) to \(range.upperBound)"
        return Self("NUMBER", expected, read: { Int($0).flatMap { range.contains($0) ? $0 : nil } }, write: { String($0) })
    }
}

extension ValueType<Double> {
    static func decimal(_ range: ClosedRange<Double>) -> Self {
        let expected = "a number from \(brief(range.lowerBound)) to \(brief(range.upperBound))"
        return Self("NUMBER", expected, read: { Double($0).flatMap { range.contains($0) ? $0 : nil } }, write: brief)
    }

    private static func brief(_ value: Double) -> String {
        value == value.rounded() && value.magnitude < 1e15 ? String(Int(value)) : String(value)
    }
}

extension ValueType<Duration> {
    static var duration: Self { Self("DURATION", "a duration such as 10s or 1m30s", read: { Duration(configured: $0) }, write: \.configured) }

    static var positiveDuration: Self {
        let read: (String) -> Duration? = { text in Duration(configured: text).flatMap { $0 > .zero ? $0 : nil } }
        return Self("DURATION", "a duration above 0, such as 10s or 1m30s", read: read, write: \.configured)
    }
}

extension ValueType<LogLevel> {
    static var level: Self { Self("LEVEL", "debug, info, warn or error", read: { LogLevel(name: $0) }, write: \.name) }
}

extension ValueType<HostPort> {
    static var address: Self { Self("ADDRESS", "host:port or :port", read: { HostPort($0) }, write: \.description) }
}

extension ValueType<HostPort?> {
    static var optionalAddress: Self {
        Self("ADDRESS", "host:port or :port", read: { HostPort($0).map(Optional.some) }, write: { $0?.description ?? "" })
    }
}

extension ValueType<ConfiguredURL> {
    static var url: Self { Self("URL", "a URL such as http://localhost:8000", read: { ConfiguredURL($0) }, write: \.description) }
}

extension ValueType<OutboundProxy?> {
    /// Never shown in an error: it may have a password.
    static var optionalProxy: Self {
        var type = Self("PROXY", OutboundProxy.expected, read: { OutboundProxy($0).map(Optional.some) }, write: { $0?.text ?? "" })
        type.isSecret = true
        return type
    }
}

extension ValueType<LoadBalancing> {
    static var loadBalancing: Self { Self("WHERE", "local or cluster", read: { LoadBalancing(rawValue: $0) }, write: \.rawValue) }
}

extension ValueType<ListenerConfiguration.TunnelProtocol> {
    static var tunnelProtocol: Self {
        Self("PROTOCOL", "http or tcp", read: { ListenerConfiguration.TunnelProtocol(rawValue: $0) }, write: \.rawValue)
    }
}
