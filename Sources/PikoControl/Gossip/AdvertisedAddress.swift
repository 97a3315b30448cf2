// SPDX-License-Identifier: MIT
// The address that other nodes reach one of this node's ports by (configuration.md): as configured, else the one it is bound to; in place
// of "all interfaces" the machine's private IP. Any thread; looks at the interfaces once, at start.

import FoundationEssentials
import Glibc
import PikoCore
import PikoEngine

/// Addresses that a node tells others.
enum AdvertisedAddress {
    /// - Parameters:
    ///   - configured: an empty host or port 0 in it is derived.
    ///   - bound: with the real port.
    static func of(_ configured: HostPort?, bound: SocketAddress, machine: () -> String = { MachineAddress.current }) -> String {
        let port = configured.flatMap { $0.port == 0 ? nil : $0.port } ?? bound.port
        if let configured, !configured.host.isEmpty { return HostPort(host: configured.host, port: port).description }
        let isAny = bound.host == "0.0.0.0" || bound.host == "::"
        return HostPort(host: isAny ? machine() : bound.host, port: port).description
    }
}

/// Which of the machine's addresses others may reach it by.
enum MachineAddress {
    struct Candidate {
        let interface: String
        /// Numeric.
        let host: String
        let isIPv6: Bool
    }

    /// A private one of IPv4, best that of the interface that the default route goes by; else another; 127.0.0.1 where the machine
    /// has loopback alone.
    static func choose(_ candidates: [Candidate], defaultInterface: String?) -> String {
        let usable = candidates.filter { !isLocal($0) }
        return usable.min { rank($0, defaultInterface) < rank($1, defaultInterface) }?.host ?? "127.0.0.1"
    }

    private static func rank(_ candidate: Candidate, _ defaultInterface: String?) -> Int {
        let kind = candidate.isIPv6 ? 4 : isPrivate(candidate.host) ? 0 : 2
        return kind + (candidate.interface == defaultInterface ? 0 : 1)
    }

    /// Loopback and link-local: of no use to others.
    private static func isLocal(_ candidate: Candidate) -> Bool {
        if !candidate.isIPv6 { return candidate.host.hasPrefix("127.") || candidate.host.hasPrefix("169.254.") }
        return candidate.host == "::1" || candidate.host.hasPrefix("fe80:")
    }

    private static func isPrivate(_ host: String) -> Bool {
        let parts = host.split(separator: ".").compactMap { UInt8($0) }
        guard parts.count == 4 else { return false }
        switch (parts[0], parts[1]) {
        case (10, _), (192, 168), (172, 16...31), (100, 64...127): return true
        default: return false
        }
    }

    /// Of this machine, now.
    static var current: String { choose(interfaces(), defaultInterface: defaultInterface()) }

    private static func interfaces() -> [Candidate] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var found: [Candidate] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ifa_next
            if entry.ifa_flags & UInt32(IFF_UP) != 0, let candidate = candidate(entry) { found.append(candidate) }
        }
        return found
    }

    private static func candidate(_ entry: ifaddrs) -> Candidate? {
        guard let address = entry.ifa_addr else { return nil }
        let family = Int32(address.pointee.sa_family)
        guard family == AF_INET || family == AF_INET6 else { return nil }
        let size = family == AF_INET ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        guard getnameinfo(address, socklen_t(size), &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 else { return nil }
        let host = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return Candidate(interface: String(cString: entry.ifa_name), host: host, isIPv6: family == AF_INET6)
    }

    /// The interface of the default route of IPv4, by the kernel's table.
    private static func defaultInterface() -> String? {
        guard let table = try? String(contentsOfFile: "/proc/net/route", encoding: .utf8) else { return nil }
        for line in table.split(separator: "\n").dropFirst() {
            let fields = line.split(whereSeparator: \.isWhitespace)
            if fields.count > 1, fields[1] == "00000000" { return String(fields[0]) }
        }
        return nil
    }
}
