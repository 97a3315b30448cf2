// SPDX-License-Identifier: MIT
// Who may connect and how the connection is protected: tokens and TLS of a port, TLS of a client. Plain values with the
// documented defaults; paths and PEM texts are kept as written and read by whoever uses them.

/// `…auth.*`: how tokens are verified. Nothing set: no token is asked for.
public struct AuthConfiguration: Equatable, Sendable {
    public var hmacSecretKey = ""
    public var rsaPublicKey = ""
    public var ecdsaPublicKey = ""
    public var audience = ""
    public var issuer = ""
    public var disableDisconnectOnExpiry = false
    /// By how much clocks may differ in `exp` and `nbf`.
    public var leeway: Duration = .zero
    /// A token without `piko.endpoints` permits none, instead of all.
    public var requireEndpoints = false
    public var jwks = JWKSConfiguration()

    public init() {}

    /// A key is there: tokens are asked for.
    public var isEnabled: Bool { hasOwnKey || !jwks.endpoint.isEmpty }
    var hasOwnKey: Bool { !hmacSecretKey.isEmpty || !rsaPublicKey.isEmpty || !ecdsaPublicKey.isEmpty }
}

/// `…auth.jwks.*`.
public struct JWKSConfiguration: Equatable, Sendable {
    /// An `http`, `https` or `file` URL. Empty: none.
    public var endpoint = ""
    /// Zero: an hour.
    public var cacheTTL: Duration = .zero
    public var timeout: Duration = .seconds(10)

    public init() {}
}

/// `….tls.*` of a port.
public struct ServerTLSConfiguration: Equatable, Sendable {
    public var cert = ""
    public var key = ""
    public var clientCAs = ""
    /// Towards other nodes.
    public var client = ClientTLSConfiguration()

    public init() {}

    /// The port speaks TLS.
    public var isEnabled: Bool { !cert.isEmpty }
}

/// `…tls.*` of something that dials.
public struct ClientTLSConfiguration: Equatable, Sendable {
    public var cert = ""
    public var key = ""
    public var rootCAs = ""
    public var serverName = ""
    public var insecureSkipVerify = false

    public init() {}
}
