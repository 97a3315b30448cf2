// SPDX-License-Identifier: MIT
// Why something of the engine failed: the C code and its words. A plain value, any thread.
// It says what happened below; whose fault it is and whether to retry is decided in PikoControl.

internal import CUV

/// A failure of the engine, a system call or a peer's carrier.
public struct EngineError: Error, Equatable, Hashable, Sendable, CustomStringConvertible {
    /// Negative: libuv's (negated errno), CUV_E_... or CW_E_...; 0 stands for "no error" where a status is passed.
    public let code: Int32

    public init(code: Int32) { self.code = code }

    public static let timeout = EngineError(code: Int32(CUV_E_TIMEOUT))
    public static let truncated = EngineError(code: Int32(CUV_E_TRUNCATED))
    public static let protocolViolation = EngineError(code: Int32(CUV_E_PROTOCOL))
    public static let reset = EngineError(code: Int32(CUV_E_RESET))
    public static let aborted = EngineError(code: Int32(CUV_E_ABORTED))
    public static let limit = EngineError(code: Int32(CUV_E_LIMIT))
    public static let goingAway = EngineError(code: Int32(CUV_E_GOING_AWAY))
    public static let closed = EngineError(code: Int32(CUV_E_CLOSED))
    public static let refused = EngineError(code: Int32(CUV_E_REFUSED))
    public static let sessionLost = EngineError(code: Int32(CUV_E_SESSION_LOST))
    public static let noMemory = EngineError(code: Int32(CUV_E_NO_MEMORY))
    public static let handshakeEnded = EngineError(code: Int32(CUV_E_HANDSHAKE_ENDED))
    public static let notTLS = EngineError(code: Int32(CUV_E_NOT_TLS))

    /// True for what went wrong in TLS: its handshake, its records, the peer's certificate.
    public var isTLS: Bool { cuv_error_is_tls(code) }

    /// True when the process has no descriptor left (EMFILE, ENFILE).
    public var isExhaustion: Bool { cuv_error_is_exhaustion(code) }

    /// True when the resolver knows that nobody has the name: UV_EAI_NONAME, UV_EAI_NODATA.
    public var isNoSuchName: Bool { cuv_error_is_no_such_name(code) }

    /// The words for one log line.
    public var description: String { String(cString: cuv_strerror(code)) }
}

extension EngineError {
    /// nil for 0, the error otherwise.
    static func unlessZero(_ code: Int32) -> EngineError? { code == 0 ? nil : EngineError(code: code) }
}
