// SPDX-License-Identifier: MIT
// Why a token does not open a port: what the peer is told (protocol.md, "Tokens") and the name under which it is counted.
// A plain value, any thread.

/// Why a request was turned away at a port that asks for tokens.
public enum TokenFault: UInt8, Error, Sendable, CaseIterable {
    /// Neither of the two fields was sent.
    case missing
    /// A field without a space, or sent more than once.
    case malformed
    /// Another scheme than `Bearer`.
    case unsupportedType
    /// No token of ours: not readable, not signed by one of our keys, not yet valid, or for somebody else.
    case invalid
    case expired
    case unknownTenant
    /// A good token for other endpoints.
    case notPermitted
    /// The key set could never be read: whoever asks later may be let in.
    case keysUnavailable
    /// More tokens wait to be verified than may: whoever asks later may be let in.
    case overloaded

    public var status: UInt16 { self == .keysUnavailable || self == .overloaded ? 503 : 401 }

    /// The `error` of the answer; plain ASCII without quotes.
    public var text: StaticString {
        switch self {
        case .missing: "missing authorization"
        case .malformed: "invalid authorization"
        case .unsupportedType: "unsupported auth type"
        case .invalid: "invalid token"
        case .expired: "expired token"
        case .unknownTenant: "unknown tenant"
        case .notPermitted: "endpoint not permitted"
        case .keysUnavailable: "token keys unavailable"
        case .overloaded: "too many tokens at once"
        }
    }

    /// As a label of a counter.
    public var label: String {
        switch self {
        case .missing: "missing"
        case .malformed: "malformed"
        case .unsupportedType: "unsupported_type"
        case .invalid: "invalid"
        case .expired: "expired"
        case .unknownTenant: "unknown_tenant"
        case .notPermitted: "not_permitted"
        case .keysUnavailable: "keys_unavailable"
        case .overloaded: "overloaded"
        }
    }
}
