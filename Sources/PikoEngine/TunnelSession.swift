// SPDX-License-Identifier: MIT
// The Swift face of a yamux session on a connection (a WebSocket). Lives on that connection's loop; C holds one reference until
// on_closed. It opens and announces streams; what they carry is the business of their handlers.

internal import CUV

/// What happens on a session. All calls come on its loop.
public protocol TunnelSessionHandler: AnyObject {
    /// The peer opened a stream; give it a handler inside the call to accept it. Otherwise it is refused. Reading is off.
    func session(_ session: TunnelSession, didAccept stream: Connection)
    /// The peer takes no new streams; open ones go on.
    func sessionIsGoingAway(_ session: TunnelSession, code: UInt32)
    /// A ping was answered after so many nanoseconds.
    func session(_ session: TunnelSession, roundTrip nanoseconds: UInt64)
    /// After `goAway`: the peer has read it and all that it had opened has ended; nothing more comes.
    func sessionIsServed(_ session: TunnelSession)
    /// The peer broke a rule that does no harm, or opened more streams than it may, and the session goes on or is about to end. To be counted: the session must not be
    /// touched from here.
    func sessionDidMeetFault(_ session: TunnelSession)
    /// Last call; all streams were closed before. nil: a clean end.
    func sessionDidClose(_ session: TunnelSession, error: EngineError?)
}

extension TunnelSessionHandler {
    public func session(_ session: TunnelSession, didAccept stream: Connection) {}
    public func sessionIsGoingAway(_ session: TunnelSession, code: UInt32) {}
    public func session(_ session: TunnelSession, roundTrip nanoseconds: UInt64) {}
    public func sessionIsServed(_ session: TunnelSession) {}
    public func sessionDidMeetFault(_ session: TunnelSession) {}
}

/// Bounds and clocks of a session. 0 means the default of the engine.
public struct TunnelSettings: Sendable {
    /// True at the end that dialled: an agent's, which opens no streams, or a node's with another, which opens all, with odd ids.
    public var isClient: Bool
    public var maxStreams: UInt32 = 0
    public var maxUnacknowledged: UInt32 = 0
    /// Bytes.
    public var maxWindow: UInt32 = 0
    /// Bytes.
    public var sessionWindow: UInt64 = 0
    /// Milliseconds of silence of the peer before a ping.
    public var pingInterval: UInt64 = 0
    /// Milliseconds of silence after it before the session is lost.
    public var pingTimeout: UInt64 = 0
    /// The peer serves what was opened before its go away was read (ours do); else that counts as refused when the session is lost.
    public var peerServesLate = false

    public init(isClient: Bool) { self.isClient = isClient }

    fileprivate var raw: cuv_yamux_config {
        cuv_yamux_config(
            client: isClient, max_streams: maxStreams, max_unacknowledged: maxUnacknowledged, max_window: maxWindow,
            session_window: sessionWindow, ping_interval_ms: pingInterval, ping_timeout_ms: pingTimeout,
            peer_serves_late: peerServesLate)
    }
}

/// One tunnel: many streams on one connection. Loop-confined.
public final class TunnelSession {
    public let loop: EventLoop
    public var handler: (any TunnelSessionHandler)?
    fileprivate var raw: OpaquePointer?

    private init(loop: EventLoop, handler: any TunnelSessionHandler) {
        self.loop = loop
        self.handler = handler
    }

    /// Makes a session on an open connection, which is spent thereby.
    public static func start(
        on carrier: Connection, settings: TunnelSettings, handler: any TunnelSessionHandler
    ) throws(EngineError) -> TunnelSession {
        guard let stream = carrier.stream, !carrier.isClosing else { throw .closed }
        let session = TunnelSession(loop: carrier.loop, handler: handler)
        let context = Unmanaged.passRetained(session)
        var config = settings.raw
        guard let raw = cuv_yamux_new(stream, &config, eventTable, context.toOpaque()) else {
            context.release()
            throw .noMemory
        }
        session.raw = raw
        carrier.surrender()
        return session
    }

    /// Opens a stream, writable at once. The handler hears connectionDidOpen when the peer accepts it, or connectionDidClose
    /// (`EngineError.refused` when the peer did not take it).
    /// - Throws: goingAway, limit or closed.
    public func open(handler: any ConnectionHandler) throws(EngineError) -> Connection {
        guard let raw else { throw .closed }
        let connection = Connection(loop: loop, handler: handler)
        var error: Int32 = 0
        guard let stream = cuv_yamux_open(raw, ownerTable, connection.retainForC(), &error) else {
            connection.releaseFromC()
            throw EngineError(code: error)
        }
        connection.adopt(stream)
        return connection
    }

    /// Tells the peer to open no new streams; those that it opens before it reads this are accepted still. `sessionIsServed` follows when the
    /// last has ended. Twice is once.
    public func goAway(code: UInt32 = 0) {
        if let raw { cuv_yamux_go_away(raw, code) }
    }

    /// Ends politely; streams still open break.
    public func close() {
        if let raw { cuv_yamux_close(raw) }
    }

    /// Ends now; the carrier is reset.
    public func abort() {
        if let raw { cuv_yamux_abort(raw) }
    }

    public var streamCount: Int { raw.map { Int(cuv_yamux_stream_count($0)) } ?? 0 }
    /// The last measured round trip in nanoseconds, 0 before the first.
    public var roundTrip: UInt64 { raw.map { cuv_yamux_round_trip($0) } ?? 0 }
    public var isClosed: Bool { raw == nil }

    fileprivate func didAccept(_ stream: UnsafeMutablePointer<cuv_stream>) {
        let connection = Connection(offered: stream, loop: loop)
        handler?.session(self, didAccept: connection)
        if connection.handler == nil { connection.decline() } else { connection.becomeOwner() }
    }

    fileprivate func didClose(_ status: Int32) {
        raw = nil
        let last = handler
        handler = nil
        last?.sessionDidClose(self, error: EngineError.unlessZero(status))
        Unmanaged.passUnretained(self).release()
    }
}

extension Connection {
    /// A stream that may still be refused: no owner is set until someone wants it.
    fileprivate convenience init(offered stream: UnsafeMutablePointer<cuv_stream>, loop: EventLoop) {
        self.init(loop: loop, handler: nil)
        adopt(stream)
        _ = retainForC()
    }

    fileprivate func becomeOwner() {
        guard let stream else { return }
        cuv_stream_set_owner(stream, ownerTable, Unmanaged.passUnretained(self).toOpaque())
    }

    fileprivate func decline() { surrender() }
}

private func session(_ context: UnsafeMutableRawPointer?) -> TunnelSession {
    Unmanaged<TunnelSession>.fromOpaque(context!).takeUnretainedValue()
}

nonisolated(unsafe) private let eventTable: UnsafePointer<cuv_yamux_events> = permanent(
    cuv_yamux_events(
        on_stream: { context, _, stream in session(context).didAccept(stream!) },
        on_go_away: { context, _, code in
            let session = session(context)
            session.handler?.sessionIsGoingAway(session, code: code)
        },
        on_round_trip: { context, _, nanoseconds in
            let session = session(context)
            session.handler?.session(session, roundTrip: nanoseconds)
        },
        on_served: { context, _ in
            let session = session(context)
            session.handler?.sessionIsServed(session)
        },
        on_closed: { context, _, status in session(context).didClose(status) },
        on_fault: { context, _ in
            let session = session(context)
            session.handler?.sessionDidMeetFault(session)
        }
    ))
