// SPDX-License-Identifier: MIT
// A connection becomes TLS: the bytes of the new connection are protected by the old one's. On the connection's loop.
// It decides nothing about trust: that is in the context, and in the name it is given.

internal import CUV

extension Connection {
    /// Makes this connection (TCP, connecting or open, or any other stream) the carrier of TLS and returns that as a connection. This object is
    /// spent; its handler hears nothing more. Bytes kept here are the peer's first.
    /// The handler hears connectionDidOpen when the handshake is done and the peer is whom we want, or connectionDidClose with an error whose
    /// `isTLS` is set, `.timeout` after `timeout` milliseconds (0: no deadline). Until then writes are queued and nothing is read.
    /// `peer`: for a client, the host name or numeric address that the certificate must be for.
    public func startTLS(
        _ context: TLSContext, peer: String? = nil, timeout: UInt64, handler: (any ConnectionHandler)? = nil
    ) throws(EngineError) -> Connection {
        precondition(context.isServer == (peer == nil), "a client knows whom it talks to, a server does not")
        guard let carrier = stream, !isClosing else { throw .closed }
        let upper = Connection(loop: loop, handler: handler)
        guard let stream = cuv_tls_wrap(carrier, context.raw, peer, timeout, ownerTable, upper.retainForC()) else {
            upper.releaseFromC()
            throw .noMemory
        }
        upper.adopt(stream)
        upper.companion = companion
        companion = nil
        surrender()
        return upper
    }

    /// True where TLS protects its bytes: TLS itself, or a stream that runs on it.
    public var isSecure: Bool { stream.map { cuv_stream_is_secure($0) } ?? false }

    /// What the handshake agreed on; nil before it is done and where there is no TLS.
    public var tls: TLSAgreement? {
        var raw = cuv_tls_state()
        guard let stream, cuv_tls_describe(stream, &raw) == 0 else { return nil }
        return TLSAgreement(
            version: String(cString: raw.version), cipher: String(cString: raw.cipher), isResumed: raw.resumed, isHTTP: raw.http)
    }
}

/// What two ends of TLS agreed on.
public struct TLSAgreement: Equatable, Sendable {
    /// "TLSv1.3".
    public let version: String
    /// OpenSSL's name of it.
    public let cipher: String
    public let isResumed: Bool
    /// ALPN chose http/1.1.
    public let isHTTP: Bool
}
