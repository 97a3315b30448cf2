// SPDX-License-Identifier: MIT
// The Swift face of a stream: TCP, WebSocket or yamux, all alike. Lives on one loop, never leaves it (a moving TCP connection
// becomes a MovingConnection). C holds one reference from the stream's birth until on_closed, which releases it; nobody else releases.
// It copies no payload: bytes are borrowed for the length of a call.

internal import CUV

/// What happens on a connection. All calls come on its loop.
public protocol ConnectionHandler: AnyObject {
    /// A dial, or the acceptance of a stream, succeeded. Not called for connections handed over open.
    func connectionDidOpen(_ connection: Connection)
    /// Bytes came; borrowed for the call. Returns how many were taken; the rest is kept and offered again in front of the next bytes, or at
    /// once when something was taken.
    func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int
    /// The peer half closed. Only while reading is on.
    func connectionDidEnd(_ connection: Connection)
    /// Some queued bytes left.
    func connectionDidDrain(_ connection: Connection)
    /// Last call. nil: a clean end.
    func connectionDidClose(_ connection: Connection, error: EngineError?)
}

extension ConnectionHandler {
    public func connectionDidOpen(_ connection: Connection) {}
    public func connectionDidEnd(_ connection: Connection) {}
    public func connectionDidDrain(_ connection: Connection) {}
}

/// One stream of bytes. Loop-confined.
public final class Connection {
    public let loop: EventLoop
    /// Set by `adopt`, cleared when C reports the end or the stream was handed to a carrier above it.
    private(set) var stream: UnsafeMutablePointer<cuv_stream>?
    /// Who hears of it; held until the connection has closed.
    public var handler: (any ConnectionHandler)?
    /// Held until the connection has closed; goes with it to another loop, and to a WebSocket above it.
    public var companion: (any AnyObject & Sendable)?
    /// Hears once, before the handler, when a TLS connection ends before its handshake is done.
    public var onHandshakeFailure: ((EngineError) -> Void)?

    init(loop: EventLoop, handler: (any ConnectionHandler)?) {
        self.loop = loop
        self.handler = handler
    }

    /// The pointer given to C as owner context: holds one reference until `didClose` or `surrender`.
    func retainForC() -> UnsafeMutableRawPointer { Unmanaged.passRetained(self).toOpaque() }
    func releaseFromC() { Unmanaged.passUnretained(self).release() }

    func adopt(_ stream: UnsafeMutablePointer<cuv_stream>) { self.stream = stream }

    /// Wraps a stream that C just handed over open (accepted): becomes its owner.
    convenience init(accepted stream: UnsafeMutablePointer<cuv_stream>, loop: EventLoop) {
        self.init(loop: loop, handler: nil)
        adopt(stream)
        cuv_stream_set_owner(stream, ownerTable, retainForC())
    }

    /// The stream now belongs to a carrier above (WebSocket, session): this object is done with it, no close will be reported.
    func surrender() {
        stream = nil
        handler = nil
        releaseFromC()
    }

    // MARK: Reading

    /// Reads on, with this object's handler as the reader (also after a flow let go of it). Kept bytes are offered in this loop turn.
    public func startReading() {
        guard let stream else { return }
        cuv_stream_set_reader(stream, readerTable, Unmanaged.passUnretained(self).toOpaque())
        cuv_stream_read_start(stream)
    }

    /// No more reads and no end until `startReading`. Allowed inside didRead.
    public func stopReading() {
        guard let stream else { return }
        cuv_stream_read_stop(stream)
    }

    /// Has the kept bytes offered again in this loop turn.
    public func resume() {
        guard let stream else { return }
        cuv_stream_resume(stream)
    }

    /// At most this many bytes are kept before reading pauses by itself.
    public func setKeptLimit(_ bytes: Int) {
        guard let stream else { return }
        cuv_stream_set_kept_limit(stream, UInt32(clamping: bytes))
    }

    /// Bytes read but not taken.
    public var keptCount: Int { stream.map { cuv_stream_kept($0).count } ?? 0 }

    // MARK: Writing

    /// Writes all, or queues what the carrier does not take now. `more`: another write follows in this loop turn.
    /// - Returns: false when the connection is ending: nothing was taken, the close is or will be reported.
    @discardableResult
    public func write(_ bytes: UnsafeRawBufferPointer, more: Bool = false) -> Bool {
        guard let stream else { return false }
        guard let base = bytes.baseAddress else { return true }
        return cuv_stream_write(stream, base.assumingMemoryBound(to: UInt8.self), bytes.count, more) == 0
    }

    /// The same for text; for the cold path.
    @discardableResult
    public func write(_ text: String, more: Bool = false) -> Bool {
        var text = text
        return text.withUTF8 { write(UnsafeRawBufferPointer($0), more: more) }
    }

    /// Have `connectionDidDrain` called as queued bytes leave.
    public func watchDrain() {
        guard let stream else { return }
        cuv_stream_set_writer(stream, writerTable, Unmanaged.passUnretained(self).toOpaque())
    }

    /// Bytes accepted that have not left towards the peer.
    public var queued: Int { stream.map { cuv_stream_queued($0) } ?? 0 }

    // MARK: Ending

    /// Half close behind the queue.
    public func shut() {
        guard let stream else { return }
        _ = cuv_stream_shut(stream)
    }

    /// Ends both directions behind the queue, politely.
    public func close() {
        guard let stream else { return }
        cuv_stream_close(stream)
    }

    /// Ends what `close` has begun without waiting for the peer's end. What the system has taken is delivered still; what is queued here is lost.
    public func letGo() {
        guard let stream else { return }
        cuv_tcp_let_go(stream)
    }

    /// Ends now; the peer sees a reset.
    public func abort() {
        guard let stream else { return }
        cuv_stream_abort(stream)
    }

    /// From now on its end is a reset, also when the process is killed: for peers that take a clean end as final.
    public func resetWhenClosed() {
        guard let stream else { return }
        cuv_tcp_set_reset_on_close(stream)
    }

    // MARK: State

    /// The peer half closed, whether or not it was reported yet.
    public var hasEnded: Bool { stream.map { cuv_stream_has_ended($0) } ?? true }
    public var isShut: Bool { stream.map { cuv_stream_is_shut($0) } ?? true }
    /// Only the close is still to come, or has come.
    public var isClosing: Bool { stream.map { cuv_stream_is_closing($0) } ?? true }
    /// Asks the system, without waiting: the peer has sent nothing, no end either, that was not read yet. True for other carriers than TCP.
    public var isSilent: Bool { stream.map { cuv_tcp_is_silent($0) } ?? false }
    public var bytesRead: UInt64 { stream.map { cuv_stream_bytes_read($0) } ?? 0 }
    public var bytesWritten: UInt64 { stream.map { cuv_stream_bytes_written($0) } ?? 0 }
    /// "tcp", "tls", "ws" or "yamux".
    public var carrier: String { stream.map { String(cString: cuv_stream_carrier($0)) } ?? "closed" }

    /// The peer's address; through TLS and a WebSocket, that of the TCP connection below. nil for yamux streams and closed connections.
    public var peerAddress: SocketAddress? { address(cuv_tcp_peer_address) }
    public var localAddress: SocketAddress? { address(cuv_tcp_local_address) }

    /// Has the system probe a silent peer after so many seconds. Nothing for other carriers than TCP.
    public func setProbeIdle(seconds: UInt64) {
        guard let stream else { return }
        cuv_tcp_set_probe_idle(stream, UInt32(clamping: seconds))
    }

    /// Has the system hold little of what is not read, until 1 MiB was read. For peers on a short path. Nothing for other carriers than TCP.
    public func boundReceiving() {
        guard let stream else { return }
        cuv_tcp_bound_receiving(stream)
    }

    private func address(_ read: (UnsafePointer<cuv_stream>?, UnsafeMutablePointer<cuv_address>?) -> Int32) -> SocketAddress? {
        guard let stream else { return nil }
        var raw = cuv_address()
        return read(stream, &raw) == 0 ? SocketAddress(raw) : nil
    }

    // MARK: From C

    fileprivate func didOpen() {
        onHandshakeFailure = nil
        handler?.connectionDidOpen(self)
    }

    fileprivate func didRead(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let handler else { return bytes.count }
        return handler.connection(self, didRead: bytes)
    }

    fileprivate func didEnd() { handler?.connectionDidEnd(self) }
    fileprivate func didDrain() { handler?.connectionDidDrain(self) }

    fileprivate func didClose(_ status: Int32) {
        stream = nil
        onHandshakeFailure?(EngineError(code: status == 0 ? EngineError.closed.code : status))
        onHandshakeFailure = nil
        let last = handler
        handler = nil
        companion = nil
        last?.connectionDidClose(self, error: EngineError.unlessZero(status))
        releaseFromC()
    }
}

private func connection(_ context: UnsafeMutableRawPointer?) -> Connection {
    Unmanaged<Connection>.fromOpaque(context!).takeUnretainedValue()
}

/// The tables handed to C live for the whole process: C keeps pointers to them.
nonisolated(unsafe) let ownerTable: UnsafePointer<cuv_owner> = permanent(
    cuv_owner(
        on_open: { context, _ in connection(context).didOpen() },
        on_closed: { context, _, status in connection(context).didClose(status) }
    ))

nonisolated(unsafe) private let readerTable: UnsafePointer<cuv_reader> = permanent(
    cuv_reader(
        on_read: { context, _, bytes, count in
            connection(context).didRead(UnsafeRawBufferPointer(start: bytes, count: count))
        },
        on_end: { context, _ in connection(context).didEnd() },
        on_broken: nil
    ))

nonisolated(unsafe) private let writerTable: UnsafePointer<cuv_writer> = permanent(
    cuv_writer(on_drain: { context, _ in connection(context).didDrain() }, on_broken: nil))

func permanent<Table>(_ table: Table) -> UnsafePointer<Table> {
    let place = UnsafeMutablePointer<Table>.allocate(capacity: 1)
    place.initialize(to: table)
    return UnsafePointer(place)
}
