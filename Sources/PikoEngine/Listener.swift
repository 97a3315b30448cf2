// SPDX-License-Identifier: MIT
// A listening TCP socket of one loop. Several loops listen on one address, each with a socket of its own (SO_REUSEPORT).
// C holds one reference until the listener has closed.

internal import CUV

/// Accepts connections on its loop until closed.
public final class Listener {
    public let loop: EventLoop
    private var raw: OpaquePointer?
    private let tls: (@Sendable () -> TLSContext)?
    private let handshakeTimeout: () -> UInt64
    private let onAccept: (Connection) -> Void
    private var onClosed: (() -> Void)?

    private init(
        loop: EventLoop, tls: (@Sendable () -> TLSContext)?, handshakeTimeout: @escaping () -> UInt64,
        onAccept: @escaping (Connection) -> Void
    ) {
        self.loop = loop
        self.tls = tls
        self.handshakeTimeout = handshakeTimeout
        self.onAccept = onAccept
    }

    /// Listens at `address` (port 0: any free one). An unspecified IPv6 address takes IPv4 too. `onAccept` gets each connection open, with
    /// reading off and no handler: give it one, or close it.
    /// `tls`: asked for each connection; what onAccept gets then is TLS that shakes hands still, at most `handshakeTimeout` milliseconds, asked for
    /// each connection too.
    public static func listen(
        at address: SocketAddress, backlog: Int32 = 1024, shared: Bool = true, tls: (@Sendable () -> TLSContext)? = nil,
        handshakeTimeout: @escaping () -> UInt64 = { 10_000 }, on loop: EventLoop, onAccept: @escaping (Connection) -> Void
    ) throws(EngineError) -> Listener {
        loop.assertCurrent()
        let listener = Listener(loop: loop, tls: tls, handshakeTimeout: handshakeTimeout, onAccept: onAccept)
        let context = Unmanaged.passRetained(listener)
        var raw = address.raw
        var error: Int32 = 0
        guard let handle = cuv_listen(loop.raw, &raw, backlog, shared, didAccept, context.toOpaque(), &error) else {
            context.release()
            throw EngineError(code: error)
        }
        listener.raw = handle
        return listener
    }

    /// Whether `address` can be listened at, without doing so: nobody who connects meanwhile is taken in and lost. Any thread.
    /// - Returns: the address, with a free port where it has none.
    /// - Throws: also when another process listens there.
    public static func probe(_ address: SocketAddress) throws(EngineError) -> SocketAddress {
        var raw = address.raw
        var bound = cuv_address()
        let status = cuv_listen_probe(&raw, &bound)
        if status < 0 { throw EngineError(code: status) }
        return SocketAddress(bound)
    }

    /// Where it listens, with the real port.
    public var address: SocketAddress? {
        var address = cuv_address()
        guard let raw, cuv_listener_address(raw, &address) == 0 else { return nil }
        return SocketAddress(address)
    }

    /// Connections closed at once because no descriptor was left.
    public var refused: UInt64 { raw.map { cuv_listener_refused($0) } ?? 0 }

    /// Stops accepting; connections that wait already are handed over first, inside the call. Twice is once.
    public func close(_ onClosed: (() -> Void)? = nil) {
        guard let raw else { return }
        self.raw = nil
        self.onClosed = onClosed
        cuv_listener_close(raw) { Unmanaged<Listener>.fromOpaque($0!).takeRetainedValue().didClose() }
    }

    private func didClose() {
        onClosed?()
        onClosed = nil
    }

    fileprivate func accepted(_ stream: UnsafeMutablePointer<cuv_stream>) {
        let connection = Connection(accepted: stream, loop: loop)
        guard let tls else { return onAccept(connection) }
        do throws(EngineError) {
            onAccept(try connection.startTLS(tls(), timeout: handshakeTimeout()))
        } catch {
            connection.close()
        }
    }
}

private func didAccept(
    _ context: UnsafeMutableRawPointer?, _ raw: OpaquePointer?, _ stream: UnsafeMutablePointer<cuv_stream>?
) {
    Unmanaged<Listener>.fromOpaque(context!).takeUnretainedValue().accepted(stream!)
}

extension [Listener] {
    /// Of all of them: connections that no descriptor was left for. On their loop.
    public var refused: UInt64 { reduce(0) { $0 + $1.refused } }
}
