// SPDX-License-Identifier: MIT
// What a signed token claims, and the rules by which that opens a port: times, audience, issuer, endpoints.
// Pure; the clock is passed in, in seconds since 1970. Signatures are not known here.

/// The claims of a token whose signature is good.
public struct TokenClaims: Sendable, Equatable {
    /// Seconds since 1970, as `notBefore`; nil: not claimed.
    public var expiry: Double?
    public var notBefore: Double?
    public var audience: [String] = []
    public var issuer: String?
    /// `piko.endpoints`; empty where there is none.
    public var endpoints: [String] = []

    public init() {}
}

/// What a token must claim at one port.
public struct TokenRules: Sendable, Equatable {
    /// Empty: any, as `issuer`.
    public var audience = ""
    public var issuer = ""
    /// Seconds by which clocks may differ.
    public var leeway = 0.0
    /// A token without endpoints permits none, instead of all.
    public var requiresEndpoints = false
    public var disconnectsAtExpiry = true

    public init() {}

    public init(_ configuration: AuthConfiguration) {
        audience = configuration.audience
        issuer = configuration.issuer
        leeway = Double(configuration.leeway.wholeMilliseconds) / 1000
        requiresEndpoints = configuration.requireEndpoints
        disconnectsAtExpiry = !configuration.disableDisconnectOnExpiry
    }

    /// What the claims permit. Good while `now < exp + leeway` and `now >= nbf - leeway` (RFC 7519 4.1.4 and 4.1.5).
    public func grant(_ claims: TokenClaims, now: Double) -> Result<TokenGrant, TokenFault> {
        let end = claims.expiry.map { $0 + leeway } ?? .infinity
        if now >= end { return .failure(.expired) }
        if let notBefore = claims.notBefore, now < notBefore - leeway { return .failure(.invalid) }
        if !audience.isEmpty, !claims.audience.contains(audience) { return .failure(.invalid) }
        if !issuer.isEmpty, claims.issuer != issuer { return .failure(.invalid) }
        return .success(TokenGrant(claims.endpoints, end: end, rules: self))
    }
}

/// What a good token permits, and how long.
public final class TokenGrant: Sendable {
    /// Seconds since 1970 at which it ends, leeway included; infinite where the token does not expire.
    public let end: Double
    /// When an agent that came with it is disconnected; infinite: never.
    public let disconnect: Double
    private let endpoints: [String]
    private let folded: [String]
    private let permitsAll: Bool

    init(_ endpoints: [String], end: Double, rules: TokenRules) {
        self.end = end
        disconnect = rules.disconnectsAtExpiry ? end : .infinity
        self.endpoints = endpoints
        folded = endpoints.map { $0.lowercased() }
        permitsAll = endpoints.isEmpty && !rules.requiresEndpoints
    }

    /// Whether the endpoint may be listened on or reached. `isHostName`: it came from a Host, in lower case, where case does not count.
    public func permits(_ endpoint: String, isHostName: Bool = false) -> Bool {
        permitsAll || (isHostName ? folded : endpoints).contains(endpoint)
    }
}
