// SPDX-License-Identifier: MIT
// The Swift face of a UDP socket. Lives on one loop; C holds one reference until the socket has closed.
// It queues nothing: a packet goes now or is lost, which is counted.

internal import CUV

/// A bound UDP socket. Loop-confined.
public final class Datagram {
    public let loop: EventLoop
    private var raw: OpaquePointer?
    private var onPacket: (UnsafeRawBufferPointer, SocketAddress) -> Void
    private var lostBefore: UInt64 = 0

    private init(loop: EventLoop, onPacket: @escaping (UnsafeRawBufferPointer, SocketAddress) -> Void) {
        self.loop = loop
        self.onPacket = onPacket
    }

    /// Binds at `address` (port 0: any free one); an unspecified IPv6 address takes IPv4 too. `onPacket` gets each packet, its bytes
    /// borrowed for the call, and where it came from; never inside `bind`, never after `close`.
    public static func bind(
        at address: SocketAddress, on loop: EventLoop, onPacket: @escaping (UnsafeRawBufferPointer, SocketAddress) -> Void
    ) throws(EngineError) -> Datagram {
        loop.assertCurrent()
        let datagram = Datagram(loop: loop, onPacket: onPacket)
        let context = Unmanaged.passRetained(datagram)
        var raw = address.raw
        var error: Int32 = 0
        guard let handle = cuv_udp_bind(loop.raw, &raw, eventTable, context.toOpaque(), &error) else {
            context.release()
            throw EngineError(code: error)
        }
        datagram.raw = handle
        return datagram
    }

    /// Where it is bound, with the real port.
    public var address: SocketAddress? {
        var address = cuv_address()
        guard let raw, cuv_udp_address(raw, &address) == 0 else { return nil }
        return SocketAddress(address)
    }

    /// Sends one packet now. False: it is lost.
    @discardableResult
    public func send(_ bytes: UnsafeRawBufferPointer, to address: SocketAddress) -> Bool {
        guard let raw else { return false }
        var target = address.raw
        return cuv_udp_send(raw, &target, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count)
    }

    /// Packets that could not be sent or came cut.
    public var lost: UInt64 { raw.map { cuv_udp_lost($0) } ?? lostBefore }

    /// Receives and sends no more. Twice is once.
    public func close() {
        guard let raw else { return }
        lostBefore = lost
        self.raw = nil
        onPacket = { _, _ in }
        cuv_udp_close(raw)
    }

    fileprivate func received(_ bytes: UnsafeRawBufferPointer, _ source: SocketAddress) { onPacket(bytes, source) }
}

nonisolated(unsafe) private let eventTable: UnsafePointer<cuv_udp_events> = permanent(
    cuv_udp_events(
        on_packet: { context, _, bytes, count, source in
            Unmanaged<Datagram>.fromOpaque(context!).takeUnretainedValue()
                .received(UnsafeRawBufferPointer(start: bytes, count: count), SocketAddress(source!.pointee))
        },
        on_closed: { context, _ in Unmanaged<Datagram>.fromOpaque(context!).release() }
    ))
