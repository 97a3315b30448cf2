// SPDX-License-Identifier: MIT
// Signatures: which tokens are good by which keys, and that no key is ever taken for one of another kind.
// Tokens are made with JWTKit or by hand; no sockets.

import FoundationEssentials
import JWTKit
import PikoCore
import Testing

@testable import PikoControl

private struct Payload: JWTPayload {
    var exp: Int?
    var piko: [String: [String]]?
    func verify(using algorithm: some JWTAlgorithm) async throws {}
}

struct TokenVerifierTests {
    private static let secret = "not so secret"
    private static let rsa = """
        -----BEGIN PUBLIC KEY-----
        MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo
        4lgOEePzNm0tRgeLezV6ffAt0gunVTLw7onLRnrq0/IzW7yWR7QkrmBL7jTKEn5u
        +qKhbwKfBstIs+bMY2Zkp18gnTxKLxoS2tFczGkPLPgizskuemMghRniWaoLcyeh
        kd3qqGElvW/VDL5AaWTg0nLVkjRo9z+40RQzuVaE8AkAFmxZzow3x+VJYKdjykkJ
        0iT9wCS0DRTXu269V264Vf/3jvredZiKRkgwlL9xNAwxXFg0x/XFw005UWVRIkdg
        cKWTjpBP2dPwVZ4WWC+9aGVd+Gyn1o0CLelf4rEjGoXbAAEgAqeGUxrcIlbjXfbc
        mwIDAQAB
        -----END PUBLIC KEY-----
        """

    private func auth(_ change: (inout AuthConfiguration) -> Void) -> AuthConfiguration {
        var auth = AuthConfiguration()
        change(&auth)
        return auth
    }

    private func verifier(_ auth: AuthConfiguration) throws -> TokenVerifier {
        TokenVerifier(rules: TokenRules(auth), keys: try SignatureKeys(auth, name: "proxy.auth"))
    }

    private func outcome(_ verifier: TokenVerifier, _ token: String) -> String {
        switch verifier.judge(Array(token.utf8), now: 1000) {
        case .granted: "granted"
        case .refused(let fault): fault.label
        case .unknownKey: "unknown key"
        }
    }

    private func part(_ text: String) -> String {
        Data(text.utf8).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    /// A token signed by our secret, whatever its parts say.
    private func signed(_ header: String, _ claims: String, secret: String = secret) async throws -> String {
        let text = "\(part(header)).\(part(claims))"
        let keys = JWTKeyCollection()
        await keys.add(hmac: HMACKey(from: Array(secret.utf8) + Array(repeating: 0, count: max(0, 64 - secret.utf8.count))), digestAlgorithm: .sha256)
        let signature = try await keys.getKey().sign(Array(text.utf8))
        return "\(text).\(Data(signature).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: ""))"
    }

    @Test("signature: a secret shorter than a digest verifies what it signed")
    func hmac() async throws {
        let verifier = try verifier(auth { $0.hmacSecretKey = Self.secret })
        #expect(outcome(verifier, try await signed(#"{"alg":"HS256"}"#, #"{"exp":2000}"#)) == "granted")
        #expect(outcome(verifier, try await signed(#"{"alg":"HS256"}"#, #"{"exp":999}"#)) == "expired")
        #expect(outcome(verifier, try await signed(#"{"alg":"HS256","kid":"any"}"#, "{}")) == "granted", "a key id means nothing here")
        #expect(outcome(verifier, try await signed(#"{"alg":"HS256"}"#, "{}", secret: "other")) == "invalid")
    }

    @Test("signature: none, another kind, and the public key as a secret are refused")
    func confusion() async throws {
        let verifier = try verifier(auth { $0.rsaPublicKey = Self.rsa })
        #expect(outcome(verifier, "\(part(#"{"alg":"none"}"#)).\(part("{}")).") == "invalid")
        #expect(outcome(verifier, "\(part(#"{"alg":"none"}"#)).\(part("{}")).\(part("x"))") == "invalid")
        #expect(outcome(verifier, try await signed(#"{"alg":"HS256"}"#, "{}", secret: Self.rsa)) == "invalid")
        #expect(outcome(verifier, try await signed(#"{"alg":"RS256"}"#, "{}", secret: Self.rsa)) == "invalid")
        let secret = try self.verifier(auth { $0.hmacSecretKey = Self.secret })
        #expect(outcome(secret, try await signed(#"{"alg":"HS384"}"#, "{}")) == "invalid")
        #expect(outcome(secret, try await signed(#"{"alg":"hs256"}"#, "{}")) == "invalid")
    }

    @Test("claims: wrong types are invalid, whoever signed them", arguments: [
        #"{"exp":"2000"}"#, #"{"exp":[2000]}"#, #"{"nbf":true}"#, #"{"piko":[]}"#, #"{"piko":{"endpoints":"a"}}"#, #"{"piko":{"endpoints":[1]}}"#,
        #"{"iss":1}"#, #"{"aud":{"a":1}}"#, "[]", "1", "", "null", #""a.b.c""#, #"{"exp":1e999}"#,
    ])
    func types(_ claims: String) async throws {
        let verifier = try verifier(auth { $0.hmacSecretKey = Self.secret })
        #expect(outcome(verifier, try await signed(#"{"alg":"HS256"}"#, claims)) == "invalid")
    }

    @Test("claims: a name that differs from one of ours in case only makes the token invalid", arguments: [
        #"{"Piko":{"endpoints":["a"]}}"#, #"{"PIKO":{}}"#, #"{"pi\u212ao":null}"#, #"{"piko":{"Endpoints":["a"]}}"#, #"{"piko":{"endpoint\u017f":["a"]}}"#,
        #"{"piko":{"endpoints":["a"]},"piKo":{"endpoints":["b"]}}"#, #"{"piko":{"endpoints":["a"],"ENDPOINTS":["b"]}}"#, #"{"Exp":999}"#, #"{"NBF":2000}"#,
    ])
    func spelling(_ claims: String) async throws {
        let verifier = try verifier(auth { $0.hmacSecretKey = Self.secret })
        #expect(outcome(verifier, try await signed(#"{"alg":"HS256"}"#, claims)) == "invalid")
    }

    @Test("claims: names that are others altogether mean nothing", arguments: [
        #"{"pikos":{"Endpoints":["a"]}}"#, #"{"piko":{"endpoint":["a"]}}"#, #"{"x":{"Piko":{}}}"#, #"{"sub":"Piko","EXPIRES":1}"#, #"{"piko":{"x":{"Endpoints":1}}}"#,
    ])
    func otherNames(_ claims: String) async throws {
        let verifier = try verifier(auth { $0.hmacSecretKey = Self.secret })
        #expect(outcome(verifier, try await signed(#"{"alg":"HS256"}"#, claims)) == "granted")
    }

    @Test("header: what we cannot follow is invalid", arguments: [
        "{}", "[]", "", #"{"alg":1}"#, #"{"alg":"HS256","kid":7}"#, #"{"alg":"HS256","crit":["exp"]}"#, #"{"alg":"HS256","crit":[]}"#,
    ])
    func headers(_ header: String) async throws {
        let verifier = try verifier(auth { $0.hmacSecretKey = Self.secret })
        #expect(outcome(verifier, try await signed(header, "{}")) == "invalid")
    }

    @Test("token: deep, long and oddly split ones are invalid")
    func shapes() async throws {
        let verifier = try verifier(auth { $0.hmacSecretKey = Self.secret })
        let deep = String(repeating: "[", count: 5000) + String(repeating: "]", count: 5000)
        #expect(outcome(verifier, try await signed(#"{"alg":"HS256"}"#, #"{"x":\#(deep)}"#)) == "invalid")
        let good = try await signed(#"{"alg":"HS256"}"#, "{}")
        for odd in ["", ".", "..", "a.b", "\(good).", ".\(good)", "\(good)=", good.replacing(".", with: " "), "\(good)\n", "é.é.é"] {
            #expect(outcome(verifier, odd) == "invalid", "\(odd)")
        }
        for index in good.indices where good[index] != "." {
            var changed = good
            changed.replaceSubrange(index...index, with: good[index] == "A" ? "B" : "A")
            // The last letter of a part holds bits that mean nothing; all others count.
            let next = good.index(after: index)
            if next == good.endIndex || good[next] == "." { continue }
            #expect(outcome(verifier, changed) == "invalid", "\(changed)")
        }
    }

    @Test("keys: a PEM that is none is named", arguments: [
        ("", "x"), ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", ""), ("-----BEGIN PUBLIC KEY-----", "-----BEGIN PUBLIC KEY-----"),
        ("", rsa), ("x", ""),
    ])
    func pem(_ rsa: String, _ ecdsa: String) {
        let error = #expect(throws: ConfigurationError.self) {
            try SignatureKeys(auth { ($0.rsaPublicKey, $0.ecdsaPublicKey) = (rsa, ecdsa) }, name: "proxy.auth")
        }
        #expect(error?.message.hasPrefix(rsa.isEmpty ? "proxy.auth.ecdsa_public_key: expected" : "proxy.auth.rsa_public_key: expected") == true)
    }

    @Test("keys: each elliptic curve is its algorithm's")
    func ecdsa() async throws {
        let p256 = ES256PrivateKey(), p384 = ES384PrivateKey(), p521 = ES512PrivateKey()
        let keys = JWTKeyCollection()
        await keys.add(ecdsa: p256, kid: "256")
        await keys.add(ecdsa: p384, kid: "384")
        await keys.add(ecdsa: p521, kid: "521")
        let pems = ["256": p256.publicKey.pemRepresentation, "384": p384.publicKey.pemRepresentation, "521": p521.publicKey.pemRepresentation]
        for (name, pem) in pems {
            let verifier = try verifier(auth { $0.ecdsaPublicKey = pem })
            for other in pems.keys {
                let token = try await keys.sign(Payload(), kid: JWKIdentifier(string: other))
                #expect(outcome(verifier, token) == (name == other ? "granted" : "invalid"))
            }
        }
    }

    // MARK: Key sets

    private func set(_ text: String) throws -> TokenVerifier {
        TokenVerifier(rules: TokenRules(), keys: try SignatureKeys(keySet: Data(text.utf8)))
    }

    @Test("key set: a key is found by its id, and keys of other kinds cost nothing")
    func keySet() async throws {
        let private256 = ES256PrivateKey()
        let keys = JWTKeyCollection()
        await keys.add(ecdsa: private256, kid: "a")
        let token = try await keys.sign(Payload(), kid: "a")
        let place = private256.publicKey.parameters!
        let url = { (text: String) in text.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "") }
        let key = { (id: String, more: String) in #"{"kty":"EC","crv":"P-256","kid":"\#(id)","x":"\#(url(place.x))","y":"\#(url(place.y))"\#(more)}"# }
        let odd = #"{"kty":"EC","crv":"secp256k1","kid":"o","x":"AA","y":"AA"},{"kty":"new"},7,{"kty":"RSA","kid":"r","n":"AQAB","e":"AQAB"}"#
        #expect(outcome(try set(#"{"keys":[\#(odd),\#(key("a", ""))]}"#), token) == "granted")
        #expect(outcome(try set(#"{"keys":[\#(key("a", #","alg":"ES256","use":"sig""#))]}"#), token) == "granted")
        #expect(outcome(try set(#"{"keys":[\#(key("b", ""))]}"#), token) == "unknown key")
        #expect(throws: KeyFault.self) { try set(#"{"keys":[\#(key("a", #","use":"enc""#))]}"#) }
        #expect(throws: KeyFault.self) { try set(#"{"keys":[\#(key("a", #","alg":"RS256""#))]}"#) }
    }

    @Test("key set: what is no key set is refused", arguments: ["", "{}", "[]", #"{"keys":{}}"#, #"{"keys":[]}"#, #"{"keys":[{"kty":"oct"}]}"#])
    func noKeySet(_ text: String) { #expect(throws: KeyFault.self) { try set(text) } }

    @Test("key set: a secret in it signs with HMAC only")
    func secretInSet() async throws {
        let filled = Data(Self.secret.utf8).base64EncodedString().replacing("=", with: "")
        let verifier = try set(#"{"keys":[{"kty":"oct","kid":"s","k":"\#(filled)"}]}"#)
        #expect(outcome(verifier, try await signed(#"{"alg":"HS256","kid":"s"}"#, "{}")) == "granted")
        #expect(outcome(verifier, try await signed(#"{"alg":"HS256"}"#, "{}")) == "granted", "one key: no choice")
        #expect(outcome(verifier, try await signed(#"{"alg":"RS256","kid":"s"}"#, "{}")) == "invalid")
    }

    @Test("key set: a token that names no key may be by one that replaced the only key, and by none of several")
    func replacedUnnamed() async throws {
        let key = { (id: String) in #"{"kty":"oct",\#(id)"k":"\#(Data((id + Self.secret).utf8).base64EncodedString().replacing("=", with: ""))"}"# }
        let token = try await signed(#"{"alg":"HS256"}"#, "{}", secret: "other")
        let ofAnotherKind = try await signed(#"{"alg":"RS256"}"#, "{}", secret: "other")
        for id in ["", #""kid":"a","#] {
            let one = try set(#"{"keys":[\#(key(id))]}"#)
            #expect(outcome(one, token) == "unknown key" && outcome(one, ofAnotherKind) == "unknown key")
            #expect(outcome(one, try await signed(#"{"alg":"none"}"#, "{}", secret: "other")) == "invalid")
        }
        let named = try set(#"{"keys":[\#(key(#""kid":"a","#))]}"#)
        #expect(outcome(named, try await signed(#"{"alg":"HS256","kid":"a"}"#, "{}", secret: "other")) == "invalid")
        let several = try set(#"{"keys":[\#(key(#""kid":"a","#)),\#(key(#""kid":"b","#))]}"#)
        #expect(outcome(several, token) == "invalid")
    }
}
