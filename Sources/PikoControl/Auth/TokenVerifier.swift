// SPDX-License-Identifier: MIT
// Judges one token by keys and rules that do not change: signature first, then what it claims.
// A value, any thread; a judgement costs 30 µs to 1 ms of CPU, so not on a loop that serves clients.

import PikoCore

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Keys and rules of one section.
struct TokenVerifier: Sendable {
    enum Verdict {
        case granted(TokenGrant)
        case refused(TokenFault)
        /// Its key is not here; a newer key set may have it.
        case unknownKey
    }

    let rules: TokenRules
    /// nil: no key set was read yet.
    var keys: SignatureKeys?

    /// - Parameter now: seconds since 1970.
    func judge(_ token: [UInt8], now: Double) -> Verdict {
        guard let text = JOSEText(token) else { return .refused(.invalid) }
        switch keys?.check(text) ?? .unknownKey {
        case .unknownKey: return .unknownKey
        case .bad: return .refused(.invalid)
        case .good: break
        }
        guard let claims = text.claims.map(TokenClaims.init) else { return .refused(.invalid) }
        switch rules.grant(claims, now: now) {
        case .success(let grant): return .granted(grant)
        case .failure(let fault): return .refused(fault)
        }
    }
}

extension TokenClaims {
    fileprivate init(_ claims: JOSEText.Claims) {
        self.init()
        expiry = claims.exp
        notBefore = claims.nbf
        audience = claims.aud?.values ?? []
        issuer = claims.iss
        endpoints = claims.piko?.endpoints ?? []
    }
}

/// The clock that tokens are dated by.
enum TokenClock {
    /// Seconds since 1970.
    static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
