// SPDX-License-Identifier: MIT
// A TCP connection between two loops: its descriptor and the bytes read but not taken. Held by one thread at a time, passed on with a
// mailbox letter; lands on a loop or closes when it is dropped.

internal import CUV

/// On its way from one loop to another.
///
/// `@unchecked Sendable`: it is handed over whole, and the C side lets any thread free it; `land` takes it once.
public final class MovingConnection: @unchecked Sendable {
    private var raw: OpaquePointer?
    private let companion: (any AnyObject & Sendable)?

    fileprivate init(_ raw: OpaquePointer, _ companion: (any AnyObject & Sendable)?) {
        self.raw = raw
        self.companion = companion
    }

    deinit {
        if let raw { cuv_moving_free(raw) }
    }

    /// Opens it on `loop`, on that loop's thread, once. Its bytes come first when reading starts.
    public func land(on loop: EventLoop, handler: any ConnectionHandler) throws(EngineError) -> Connection {
        loop.assertCurrent()
        guard let moving = raw else { throw .closed }
        raw = nil
        let connection = Connection(loop: loop, handler: handler)
        var error: Int32 = 0
        guard let stream = cuv_attach(loop.raw, moving, ownerTable, connection.retainForC(), &error) else {
            connection.releaseFromC()
            throw EngineError(code: error)
        }
        connection.adopt(stream)
        connection.companion = companion
        return connection
    }
}

extension Connection {
    /// Takes an open TCP connection with nothing queued off its loop. This object closes (its handler hears it, without error).
    /// `extra` comes before the kept bytes: inside didRead, take everything and pass what is to be read again on the other loop.
    /// - Throws: when bytes are queued, it is no TCP connection, or no descriptor is left; it then stays as it was.
    public func detach(extra: UnsafeRawBufferPointer) throws(EngineError) -> MovingConnection {
        guard let stream else { throw .closed }
        var error: Int32 = 0
        let bytes = extra.bindMemory(to: UInt8.self)
        guard let moving = cuv_detach(stream, 0, bytes.baseAddress, bytes.count, &error) else {
            throw EngineError(code: error)
        }
        defer { companion = nil }
        return MovingConnection(moving, companion)
    }
}
