// SPDX-License-Identifier: MIT
// The algorithms that may sign a token (RFC 7518 3.1). Everything else, `none` first of all, is no algorithm here.
// Plain values, any thread.

/// A signature algorithm, by its name in a token's header.
public enum TokenAlgorithm: String, Sendable, CaseIterable {
    case hs256 = "HS256", hs384 = "HS384", hs512 = "HS512"
    case rs256 = "RS256", rs384 = "RS384", rs512 = "RS512"
    case es256 = "ES256", es384 = "ES384", es512 = "ES512"

    public static let hmac: [TokenAlgorithm] = [.hs256, .hs384, .hs512]
    public static let rsa: [TokenAlgorithm] = [.rs256, .rs384, .rs512]
    public static let ecdsa: [TokenAlgorithm] = [.es256, .es384, .es512]
}
