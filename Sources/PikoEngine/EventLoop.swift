// SPDX-License-Identifier: MIT
// The Swift face of a loop: one pthread, one libuv loop, one mailbox. Owns the C loop from init to join.
// `post`, `stop` and `isCurrent` are for any thread; everything else belongs to the loop's own. It owns nothing that lives on it:
// connections, timers and sessions are closed by whoever made them, then the loop ends.

internal import CUV

/// A loop and its thread. Loop-confined objects (Connection, Timer, TunnelSession, Flow) name theirs and check it.
///
/// `@unchecked Sendable`: the only state is the C pointer, valid until `join` returns; the functions that other threads may call are
/// those that the C side allows from any thread.
public final class EventLoop: @unchecked Sendable {
    let raw: OpaquePointer
    public let name: String

    /// - Throws: when the system has no descriptors or memory left for a loop.
    public init(name: String) throws(EngineError) {
        guard let raw = cuv_loop_new() else { throw .noMemory }
        self.raw = raw
        self.name = name
    }

    /// Starts the thread, once.
    public func start() throws(EngineError) {
        let status = cuv_loop_start(raw, name)
        if status < 0 { throw EngineError(code: status) }
    }

    /// Runs `body` on the loop, in order of posting, never inside this call. Any thread.
    /// - Returns: false when the loop has ended; then `body` is dropped without running.
    @discardableResult
    public func post(_ body: sending @escaping () -> Void) -> Bool {
        let letter = Unmanaged.passRetained(Letter(body))
        let status = cuv_loop_post(raw, { Unmanaged<Letter>.fromOpaque($0!).takeRetainedValue().body() }, letter.toOpaque())
        if status < 0 { letter.release() }
        return status == 0
    }

    /// Asks the loop to end once nothing lives on it any more. Any thread.
    public func stop() { cuv_loop_stop(raw) }

    /// Waits for the thread to end and frees the loop; the object must not be used afterwards. Not on the loop's own thread.
    /// - Returns: the counters as they were at the end: all zero, unless something leaked.
    @discardableResult
    public func join() -> EngineCounts {
        var counts = cuv_counts()
        cuv_loop_join(raw, &counts)
        return EngineCounts(counts)
    }

    /// True on the loop's own thread. Any thread.
    public var isCurrent: Bool { cuv_loop_is_current(raw) }

    /// Milliseconds of a monotonic clock, as read at the start of this loop turn.
    public var now: UInt64 { cuv_loop_now_ms(raw) }

    /// Nanoseconds of a monotonic clock, read now. Any thread.
    public static var nanoseconds: UInt64 { cuv_now_ns() }

    /// Processors this process may use, at least 1. Any thread.
    public static var processorCount: Int { Int(cuv_processor_count()) }

    /// What lives on the loop now.
    public var counts: EngineCounts { EngineCounts(cuv_loop_counts(raw)) }

    func assertCurrent() { assert(isCurrent, "this object belongs to another loop") }
}

private final class Letter {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
}

/// How many of each thing live on a loop. After shutdown all are zero.
public struct EngineCounts: Equatable, Sendable {
    public var connections: Int64 = 0
    public var listeners: Int64 = 0
    /// UDP sockets.
    public var datagrams: Int64 = 0
    /// TLS streams, handshaking ones included.
    public var tls: Int64 = 0
    public var websockets: Int64 = 0
    public var sessions: Int64 = 0
    public var streams: Int64 = 0
    public var flows: Int64 = 0
    public var timers: Int64 = 0
    public var requests: Int64 = 0
    public var buffers: Int64 = 0
    /// Bytes of pooled buffers that are handed out.
    public var bufferBytes: Int64 = 0

    public init() {}

    init(_ counts: cuv_counts) {
        connections = counts.connections
        listeners = counts.listeners
        datagrams = counts.datagrams
        tls = counts.tls
        websockets = counts.websockets
        sessions = counts.sessions
        streams = counts.streams
        flows = counts.flows
        timers = counts.timers
        requests = counts.requests
        buffers = counts.buffers
        bufferBytes = counts.buffer_bytes
    }
}
