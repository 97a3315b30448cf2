// SPDX-License-Identifier: MIT
// Judges the value of a Host field (RFC 9110 7.2) and finds the endpoint it names (protocol.md, "Choosing the endpoint").
// Pure functions over borrowed bytes; narrower than RFC 3986 on purpose: only host names that every parser reads alike.

/// A host with an optional port, taken apart in place.
struct HostValue {
    /// Without port; an IPv6 address keeps its brackets.
    let name: UnsafeRawBufferPointer
    /// The digits behind the colon, or empty.
    let port: UnsafeRawBufferPointer

    /// Fails on anything but a plain host name, an IPv4 address or a bracketed IPv6 address, with a port of 0 to 65535 if any.
    init?(_ value: UnsafeRawBufferPointer) {
        let nameEnd = value.first == UInt8(ascii: "[") ? HostValue.addressEnd(value) : HostValue.nameEnd(value)
        guard nameEnd > 0 else { return nil }
        name = UnsafeRawBufferPointer(rebasing: value[0..<nameEnd])
        if nameEnd == value.count {
            port = UnsafeRawBufferPointer(rebasing: value[nameEnd..<nameEnd])
            return
        }
        guard value[nameEnd] == ByteClass.colon else { return nil }
        port = UnsafeRawBufferPointer(rebasing: value[(nameEnd + 1)...])
        guard HostValue.isPort(port) else { return nil }
    }

    /// The endpoint the host names: the first label of a name with a dot; none for an address or a name without a dot.
    var endpoint: UnsafeRawBufferPointer? {
        guard let dot = name.firstIndex(of: ByteClass.dot), name.first != UInt8(ascii: "[") else { return nil }
        return dot == 0 || HostValue.isIPv4(name) ? nil : UnsafeRawBufferPointer(rebasing: name[0..<dot])
    }

    /// The length of the name in front of a port, or 0 when it is malformed. No empty labels, but for a final dot.
    private static func nameEnd(_ value: UnsafeRawBufferPointer) -> Int {
        var at = 0
        while at < value.count, value[at] != ByteClass.colon {
            guard ByteClass.isHostName(value[at]) else { return 0 }
            if value[at] == ByteClass.dot, at == 0 || value[at &- 1] == ByteClass.dot { return 0 }
            at &+= 1
        }
        return at
    }

    /// The length of a bracketed address, or 0. Its characters are checked and its shape is roughly: the address is never dialed.
    private static func addressEnd(_ value: UnsafeRawBufferPointer) -> Int {
        guard let close = value.firstIndex(of: UInt8(ascii: "]")), close >= 3, close <= 46 else { return 0 }
        var colons = 0
        for index in 1..<close {
            let byte = value[index]
            colons &+= byte == ByteClass.colon ? 1 : 0
            guard ByteClass.isHexDigit(byte) || byte == ByteClass.colon || byte == ByteClass.dot else { return 0 }
        }
        return colons >= 2 && colons <= 7 ? close + 1 : 0
    }

    private static func isPort(_ port: UnsafeRawBufferPointer) -> Bool {
        guard port.count >= 1, port.count <= 5 else { return false }
        var total = 0
        for byte in port {
            guard ByteClass.isDigit(byte) else { return false }
            total = total &* 10 &+ Int(byte &- 0x30)
        }
        return total <= 65535
    }

    /// Four numbers of 0 to 255 with dots between them.
    private static func isIPv4(_ name: UnsafeRawBufferPointer) -> Bool {
        var labels = 1, digits = 0, number = 0
        for byte in name {
            if byte == ByteClass.dot {
                guard digits > 0 else { return false }
                labels &+= 1
                digits = 0
                number = 0
                continue
            }
            guard ByteClass.isDigit(byte), digits < 3 else { return false }
            digits &+= 1
            number = number &* 10 &+ Int(byte &- 0x30)
            guard number <= 255 else { return false }
        }
        return labels == 4 && digits > 0
    }
}

extension HostValue {
    /// From the start of the name to the end of the port.
    var whole: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: name.baseAddress, count: port.isEmpty ? name.count : name.count + 1 + port.count)
    }

    /// Whether both name the same place: names in either case, and the same port, where a missing port is `defaultPort`.
    func isSame(as other: HostValue, defaultPort: StaticString) -> Bool {
        guard TokenList.areSame(name, other.name) else { return false }
        if TokenList.areSame(port, other.port) { return true }
        return port.isEmpty && TokenList.element(other.port, is: defaultPort)
            || other.port.isEmpty && TokenList.element(port, is: defaultPort)
    }
}
