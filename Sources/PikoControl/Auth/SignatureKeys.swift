// SPDX-License-Identifier: MIT
// The keys that may have signed a token, each with the algorithms of its own kind: a token's header chooses among those, never beyond
// (no `none`, no public key taken for a secret). Signatures themselves are JWTKit's. A value, any thread; making one is slow.

import FoundationEssentials
import JWTKit
import PikoCore

/// Why there are no keys.
struct KeyFault: Error {
    /// What was expected, for an error line.
    let expected: String
}

/// Keys that verify signatures.
struct SignatureKeys: Sendable {
    typealias Verifiers = [TokenAlgorithm: any JWTAlgorithm]

    enum Finding {
        case good, bad
        /// Signed by a key that is not here.
        case unknownKey
    }

    /// By key id; empty where `whatever` is set.
    private var byID: [String: Verifiers] = [:]
    /// Of keys that were configured one by one: a token's key id means nothing.
    private var whatever: Verifiers?

    /// Keys of a set.
    var count: Int { byID.count }

    /// Whether the token is signed by one of the keys.
    func check(_ token: JOSEText) -> Finding {
        guard let algorithm = TokenAlgorithm(rawValue: token.header.alg) else { return .bad }
        guard let verifiers = whatever ?? verifiers(of: token.header.kid) else {
            return token.header.kid == nil ? .bad : .unknownKey
        }
        if let verifier = verifiers[algorithm], (try? verifier.verify(token.signature, signs: token.signed)) == true { return .good }
        // A set's only key was tried because the token names none: the set may have another key now.
        return whatever == nil && token.header.kid == nil ? .unknownKey : .bad
    }

    /// Without a key id there must be no choice.
    private func verifiers(of id: String?) -> Verifiers? {
        guard let id else { return byID.count == 1 ? byID.values.first : nil }
        return byID[id]
    }
}

// MARK: Configured one by one

extension SignatureKeys {
    /// The keys of a section. Not on a loop's thread while it serves: it waits for JWTKit.
    /// - Parameter name: of the section, for errors.
    init(_ auth: AuthConfiguration, name: String) throws(ConfigurationError) {
        var all: Verifiers = [:]
        if !auth.hmacSecretKey.isEmpty { all.merge(Self.await { await Self.hmac(Array(auth.hmacSecretKey.utf8)) } ?? [:]) { $1 } }
        if !auth.rsaPublicKey.isEmpty {
            guard let key = Self.rsaKey(auth.rsaPublicKey), let verifiers = Self.await({ await Self.rsa(key) }) else {
                throw ConfigurationError("\(name).rsa_public_key: expected a PEM public key or certificate of RSA, 2048 bits or more")
            }
            all.merge(verifiers) { $1 }
        }
        if !auth.ecdsaPublicKey.isEmpty {
            guard let verifiers = Self.await({ await Self.ecdsa(auth.ecdsaPublicKey) }), !verifiers.isEmpty else {
                throw ConfigurationError("\(name).ecdsa_public_key: expected a PEM public key or certificate of P-256, P-384 or P-521")
            }
            all.merge(verifiers) { $1 }
        }
        whatever = all
    }

    private static func hmac(_ secret: [UInt8]) async -> Verifiers {
        var verifiers: Verifiers = [:]
        let digests: [(TokenAlgorithm, DigestAlgorithm)] = [(.hs256, .sha256), (.hs384, .sha384), (.hs512, .sha512)]
        // A short secret is filled with zeros, which HMAC does anyway (RFC 2104 2): JWTKit traps on one shorter than its digest.
        let filled = secret + Array(repeating: 0, count: max(0, 64 - secret.count))
        for (algorithm, digest) in digests {
            let keys = JWTKeyCollection()
            await keys.add(hmac: HMACKey(from: filled), digestAlgorithm: digest)
            verifiers[algorithm] = try? await keys.getKey()
        }
        return verifiers
    }

    private static func rsaKey(_ pem: String) -> Insecure.RSA.PublicKey? {
        (try? Insecure.RSA.PublicKey(pem: pem)) ?? (try? Insecure.RSA.PublicKey(certificatePEM: pem))
    }

    private static func rsa(_ key: Insecure.RSA.PublicKey) async -> Verifiers {
        var verifiers: Verifiers = [:]
        let digests: [(TokenAlgorithm, DigestAlgorithm)] = [(.rs256, .sha256), (.rs384, .sha384), (.rs512, .sha512)]
        for (algorithm, digest) in digests {
            let keys = JWTKeyCollection()
            await keys.add(rsa: key, digestAlgorithm: digest)
            verifiers[algorithm] = try? await keys.getKey()
        }
        return verifiers
    }

    /// The curve decides the algorithm (RFC 7518 3.4).
    private static func ecdsa(_ pem: String) async -> Verifiers {
        let keys = JWTKeyCollection()
        var algorithm = TokenAlgorithm.es256
        if let key = (try? ES256PublicKey(pem: pem)) ?? (try? ES256PublicKey(certificate: pem)) {
            await keys.add(ecdsa: key)
        } else if let key = (try? ES384PublicKey(pem: pem)) ?? (try? ES384PublicKey(certificate: pem)) {
            await keys.add(ecdsa: key)
            algorithm = .es384
        } else if let key = (try? ES512PublicKey(pem: pem)) ?? (try? ES512PublicKey(certificate: pem)) {
            await keys.add(ecdsa: key)
            algorithm = .es512
        }
        guard let verifier = try? await keys.getKey() else { return [:] }
        return [algorithm: verifier]
    }
}

// MARK: From a key set

extension SignatureKeys {
    private static let mostKeys = 256

    /// The usable keys of a JSON Web Key Set (RFC 7517 5); what is of another kind or for encryption is passed over. Waits for JWTKit.
    init(keySet text: Data) throws(KeyFault) {
        guard let set = try? JSONDecoder().decode(KeySetText.self, from: text) else { throw KeyFault(expected: "a JSON Web Key Set") }
        let entries = set.keys.prefix(Self.mostKeys).filter { $0.use != "enc" }
        byID = Self.await { await Self.read(Array(entries)) } ?? [:]
        if byID.isEmpty { throw KeyFault(expected: "a key of RSA, P-256, P-384 or P-521, or a secret, in the key set") }
    }

    private static func read(_ entries: [KeySetText.Entry]) async -> [String: Verifiers] {
        var all: [String: Verifiers] = [:]
        for entry in entries {
            var verifiers: Verifiers = [:]
            if entry.kty == "oct", let secret = entry.k.flatMap({ Base64URL.decode($0.utf8) }), !secret.isEmpty {
                verifiers = await hmac(Array(secret))
            } else if let key = entry.key {
                verifiers = await Self.verifiers(of: key)
            }
            if let named = entry.alg { verifiers = verifiers.filter { $0.key.rawValue == named } }
            if !verifiers.isEmpty { all[entry.kid ?? "", default: [:]].merge(verifiers) { first, _ in first } }
        }
        return all
    }

    /// Each algorithm by a copy of the key that names it: JWTKit keeps to the first one that it is asked for.
    private static func verifiers(of key: JWK) async -> Verifiers {
        var verifiers: Verifiers = [:]
        for algorithm in algorithms(of: key) {
            var named = key
            named.algorithm = JWK.Algorithm(rawValue: algorithm.rawValue)
            named.keyIdentifier = "key"
            named.privateExponent = nil
            let keys = JWTKeyCollection()
            guard (try? await keys.add(jwk: named)) != nil, let verifier = try? await keys.getKey(for: "key") else { continue }
            if verifier.name == algorithm.rawValue { verifiers[algorithm] = verifier }
        }
        return verifiers
    }

    private static func algorithms(of key: JWK) -> [TokenAlgorithm] {
        switch (key.keyType.rawValue, key.curve?.rawValue) {
        case ("RSA", _): TokenAlgorithm.rsa
        case ("EC", "P-256"): [.es256]
        case ("EC", "P-384"): [.es384]
        case ("EC", "P-521"): [.es512]
        default: []
        }
    }
}

/// A key set, read key by key: one that JWTKit does not know must not cost us the others.
private struct KeySetText: Decodable {
    struct Entry: Decodable, Sendable {
        private enum Name: String, CodingKey { case kty, use, alg, kid, k }

        let key: JWK?
        let kty: String
        let use: String?
        let alg: String?
        let kid: String?
        let k: String?

        init(from decoder: any Decoder) throws {
            let values = try? decoder.container(keyedBy: Name.self)
            let text = { (name: Name) in values.flatMap { try? $0.decodeIfPresent(String.self, forKey: name) } }
            kty = text(.kty) ?? ""
            use = text(.use)
            alg = text(.alg)
            kid = text(.kid)
            k = text(.k)
            key = try? JWK(from: decoder)
        }
    }

    let keys: [Entry]
}
