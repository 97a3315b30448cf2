// SPDX-License-Identifier: MIT
// A connection becomes a WebSocket after its HTTP upgrade; and the two values of the handshake. The upgrade's heads are PikoControl's.
// On the connection's loop.

internal import CUV

extension Connection {
    /// Makes this open connection the carrier of a WebSocket and returns that as a connection: binary payloads are its bytes. This object
    /// is spent; its handler hears nothing more. Bytes kept here are the first frames. Allowed inside didRead.
    /// `client`: we dialled. `halfClose`: both ends agreed that an empty binary message ends one direction.
    public func upgradeToWebSocket(client: Bool, halfClose: Bool) throws(EngineError) -> Connection {
        guard let carrier = stream, !isClosing else { throw .closed }
        let upper = Connection(loop: loop, handler: nil)
        var config = cuv_ws_config(client: client, half_close: halfClose)
        guard let stream = cuv_ws_wrap(carrier, &config, ownerTable, upper.retainForC()) else {
            upper.releaseFromC()
            throw .noMemory
        }
        upper.adopt(stream)
        upper.companion = companion
        companion = nil
        surrender()
        return upper
    }
}

/// The values of a WebSocket opening handshake (RFC 6455 4.1). Any thread.
public enum WebSocketHandshake {
    /// A fresh Sec-WebSocket-Key.
    public static func makeKey() throws(EngineError) -> String {
        var failure: Int32 = 0
        let key = withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(CUV_WS_KEY_SIZE) + 1) { text in
            failure = cuv_ws_make_key(text.baseAddress!)
            return failure == 0 ? String(cString: text.baseAddress!) : ""
        }
        if failure != 0 { throw EngineError(code: failure) }
        return key
    }

    /// The Sec-WebSocket-Accept that answers `key`. nil for a key of absurd length.
    public static func accept(for key: UnsafeRawBufferPointer) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(CUV_WS_ACCEPT_SIZE) + 1) { text in
            let bytes = key.bindMemory(to: UInt8.self)
            let status = cuv_ws_accept_for(bytes.baseAddress, bytes.count, text.baseAddress!)
            return status == 0 ? String(cString: text.baseAddress!) : nil
        }
    }

    /// The same for text.
    public static func accept(for key: String) -> String? {
        var key = key
        return key.withUTF8 { accept(for: UnsafeRawBufferPointer($0)) }
    }
}

/// Unpredictable bytes from the system. Any thread.
public enum SystemRandom {
    public static func fill(_ out: UnsafeMutableRawBufferPointer) throws(EngineError) {
        let status = cuv_random(out.baseAddress, out.count)
        if status < 0 { throw EngineError(code: status) }
    }
}
