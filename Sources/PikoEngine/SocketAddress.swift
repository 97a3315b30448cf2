// SPDX-License-Identifier: MIT
// A numeric address and port, IPv4 or IPv6.
// A plain value, any thread. It resolves no names (Resolver does).

internal import CUV

/// Where a socket is: a numeric host and a port.
public struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
    /// Network order; IPv4 in the first four bytes.
    private let high: UInt64
    private let low: UInt64
    private let scope: UInt32
    public let port: UInt16
    private let family: UInt8

    /// Reads a numeric host, without brackets or port ("127.0.0.1", "::1"). nil for anything else.
    public init?(host: String, port: UInt16) {
        var raw = cuv_address()
        guard cuv_address_parse(&raw, host, port) == 0 else { return nil }
        self.init(raw)
    }

    init(_ raw: cuv_address) {
        (high, low) = withUnsafeBytes(of: raw.bytes) {
            ($0.load(as: UInt64.self), $0.load(fromByteOffset: 8, as: UInt64.self))
        }
        scope = raw.scope
        port = raw.port
        family = raw.family
    }

    var raw: cuv_address {
        var address = cuv_address()
        withUnsafeMutableBytes(of: &address.bytes) {
            $0.storeBytes(of: high, as: UInt64.self)
            $0.storeBytes(of: low, toByteOffset: 8, as: UInt64.self)
        }
        address.scope = scope
        address.port = port
        address.family = family
        return address
    }

    /// All interfaces, IPv6 and IPv4 together.
    public static func any(port: UInt16) -> SocketAddress { SocketAddress(host: "::", port: port)! }

    public var isIPv6: Bool { family == 6 }

    /// Who it is, as far as an address tells: an IPv4 address, or the /64 of an IPv6 one, which is what one customer gets. Equal for equal ones,
    /// and for no others.
    public var network: UInt64 {
        let (upper, lower) = (UInt64(bigEndian: high), UInt64(bigEndian: low))
        // No sender has an address of multicast (ff00::/8).
        let ofIPv4: UInt64 = 0xFFFF_FFFF << 32
        if !isIPv6 { return ofIPv4 | (upper >> 32) }
        let isMapped = upper == 0 && lower >> 32 == 0xFFFF
        return isMapped ? ofIPv4 | (lower & 0xFFFF_FFFF) : upper
    }

    /// The host alone, without brackets. An IPv4-mapped IPv6 address prints as IPv4.
    public var host: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
            var copy = raw
            _ = cuv_address_print(&copy, text.baseAddress!)
            return String(cString: text.baseAddress!)
        }
    }

    /// Writes the host's text into `out`, at least 64 bytes; returns how many bytes. No string is made.
    public func writeHost(into out: UnsafeMutableRawBufferPointer) -> Int {
        precondition(out.count >= 64)
        var copy = raw
        return cuv_address_print(&copy, out.baseAddress!.assumingMemoryBound(to: CChar.self))
    }

    /// "host:port", IPv6 in brackets.
    public var description: String {
        let host = self.host
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
