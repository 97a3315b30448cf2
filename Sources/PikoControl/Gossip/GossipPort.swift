// SPDX-License-Identifier: MIT
// The sockets of the gossip port: TCP and UDP under one number, at each address of the configured host. Control loop only.
// It reads no messages. The sockets are this process's alone: an address that is taken is an error.

import Glibc
import PikoEngine

/// TCP and UDP on one port. Loop-confined.
final class GossipPort {
    private var listeners: [Listener] = []
    private var sockets: [Datagram] = []
    private var lostBefore: UInt64 = 0
    /// A connection, open, reading off, without a handler.
    var onConnection: (Connection) -> Void = { $0.abort() }
    /// A packet; its bytes are borrowed for the call.
    var onPacket: (UnsafeRawBufferPointer, SocketAddress) -> Void = { _, _ in }
    private let loop: EventLoop

    /// Numbers that are tried for port 0, each free for TCP when it is drawn.
    private static let draws = 32

    /// Binds at all of the addresses, which have one port.
    /// - Parameter isAny: they are ways to say "all interfaces": the first that works is all.
    init(at addresses: [SocketAddress], isAny: Bool, on loop: EventLoop) throws(EngineError) {
        self.loop = loop
        let draws = addresses.first?.port == 0 ? Self.draws : 1
        for draw in 1...draws {
            do throws(EngineError) {
                try bind(addresses, isAny: isAny)
                return
            } catch {
                close()
                guard error.code == -EADDRINUSE, draw < draws else { throw error }
            }
        }
    }

    private func bind(_ addresses: [SocketAddress], isAny: Bool) throws(EngineError) {
        var missing = EngineError(code: -EADDRNOTAVAIL)
        for candidate in addresses {
            do throws(EngineError) {
                try bind(candidate, port: address?.port ?? candidate.port)
                if isAny { return }
            } catch {
                guard [EADDRNOTAVAIL, EAFNOSUPPORT].contains(-error.code) else { throw error }
                missing = error
            }
        }
        if sockets.isEmpty { throw missing }
    }

    private func bind(_ candidate: SocketAddress, port: UInt16) throws(EngineError) {
        guard let wanted = SocketAddress(host: candidate.host, port: port) else { throw EngineError(code: -EAFNOSUPPORT) }
        let listener = try Listener.listen(at: wanted, shared: false, on: loop) { [weak self] in
            if let self { self.onConnection($0) } else { $0.abort() }
        }
        do throws(EngineError) {
            let bound = listener.address ?? wanted
            sockets.append(try Datagram.bind(at: bound, on: loop) { [weak self] in self?.onPacket($0, $1) })
            listeners.append(listener)
        } catch {
            listener.close()
            throw error
        }
    }

    /// Where it is bound, with the real port; the first of several.
    var address: SocketAddress? { sockets.first?.address }

    /// Packets that could not be sent or came cut.
    var lost: UInt64 { sockets.reduce(lostBefore) { $0 &+ $1.lost } }

    /// Connections that no descriptor was left for.
    var exhausted: UInt64 { listeners.refused }

    /// Sends a packet now or never, from the socket of the address's family, else from a dual-stack one.
    func send(_ bytes: [UInt8], to target: SocketAddress) {
        let socket = sockets.first { $0.address?.isIPv6 == target.isIPv6 } ?? sockets.first
        guard let socket else { return }
        bytes.withUnsafeBytes { _ = socket.send($0, to: target) }
    }

    func close() {
        lostBefore = lost
        for listener in listeners { listener.close() }
        for socket in sockets { socket.close() }
        listeners = []
        sockets = []
    }
}
