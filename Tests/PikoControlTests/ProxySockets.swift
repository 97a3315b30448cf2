// SPDX-License-Identifier: MIT
// Blocking loopback sockets for the tests of the proxy, which play its clients and its services from the test's own thread. Every wait ends
// after five seconds with an error.

import Glibc
import Testing

struct SocketFailure: Error, CustomStringConvertible {
    let description: String

    init(_ call: String) { description = "\(call): \(String(cString: strerror(errno)))" }
}

/// One end of a TCP connection, or a listening socket.
final class TestSocket {
    private let descriptor: Int32
    private var pending: [UInt8] = []

    private init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var patience = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { Glibc.close(descriptor) }

    static func listening() throws -> TestSocket {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = loopback(port: 0)
        guard withPointer(&address, { bind(descriptor, $0, $1) }) == 0, listen(descriptor, 64) == 0 else { throw SocketFailure("bind") }
        return TestSocket(descriptor)
    }

    /// `host`: the client's own address, 127.0.0.1 or 127.0.0.2.
    static func connected(to port: UInt16, from host: String = "127.0.0.1") throws -> TestSocket {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var own = loopback(port: 0)
        inet_pton(AF_INET, host, &own.sin_addr)
        guard withPointer(&own, { bind(descriptor, $0, $1) }) == 0 else { throw SocketFailure("bind") }
        var address = loopback(port: port)
        guard withPointer(&address, { connect(descriptor, $0, $1) }) == 0 else { throw SocketFailure("connect") }
        return TestSocket(descriptor)
    }

    var port: UInt16 {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = Self.withPointer(&address) { pointer, _ in getsockname(descriptor, UnsafeMutablePointer(mutating: pointer), &size) }
        return UInt16(bigEndian: address.sin_port)
    }

    func accept() throws -> TestSocket {
        let accepted = Glibc.accept(descriptor, nil, nil)
        guard accepted >= 0 else { throw SocketFailure("accept") }
        return TestSocket(accepted)
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw SocketFailure("send") }
            rest = rest.dropFirst(count)
        }
    }

    /// Up to and with `mark`.
    func read(until mark: String) throws -> String {
        let wanted = Array(mark.utf8)
        while true {
            if let end = pending.indices.first(where: { pending[$0...].starts(with: wanted) }) { return take(end + wanted.count) }
            guard try more() else { throw SocketFailure("end before \(mark) in \(String(decoding: pending, as: UTF8.self))") }
        }
    }

    func read(_ count: Int) throws -> String {
        while pending.count < count { guard try more() else { throw SocketFailure("end before \(count) bytes") } }
        return take(count)
    }

    /// All up to the end of the stream.
    func readToEnd() throws -> String {
        while try more() {}
        return take(pending.count)
    }

    /// Whether the stream ends here by a reset. Bytes before it are thrown away.
    func endsByReset() -> Bool {
        while true {
            do {
                guard try more() else { return false }
            } catch {
                return errno == ECONNRESET
            }
        }
    }

    func shut() { shutdown(descriptor, Int32(SHUT_WR)) }

    private func take(_ count: Int) -> String {
        defer { pending.removeFirst(count) }
        return String(decoding: pending[..<count], as: UTF8.self)
    }

    private func more() throws -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count >= 0 else { throw SocketFailure("recv") }
        pending += buffer[..<count]
        return count > 0
    }

    private static func loopback(port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }

    private static func withPointer<Result>(
        _ address: inout sockaddr_in, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }
}
