// SPDX-License-Identifier: MIT
// Takes a token apart: three parts in base64url, a header and claims in JSON (RFC 7515 3.1, RFC 7519). Nothing of it is verified here.
// Pure, safe on arbitrary bytes, any thread. Imports nothing of ours, so that it is fuzzed by itself.

import FoundationEssentials

/// A signed token's text.
struct JOSEText {
    struct Header: Decodable {
        let alg: String
        let kid: String?
        /// What a reader must understand; we understand none of it (RFC 7515 4.1.11).
        let crit: [String]?
    }

    struct Claims: Decodable {
        struct Piko: Decodable {
            private enum Name: String, CodingKey, CaseIterable { case endpoints }

            let endpoints: [String]?

            init(from decoder: any Decoder) throws {
                endpoints = try Spelling.container(decoder, Name.self).decodeIfPresent([String].self, forKey: .endpoints)
            }
        }

        /// One text or a list (RFC 7519 4.1.3).
        struct Audience: Decodable {
            let values: [String]

            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                if let one = try? container.decode(String.self) { values = [one] } else { values = try container.decode([String].self) }
            }
        }

        private enum Name: String, CodingKey, CaseIterable { case exp, nbf, aud, iss, piko }

        let exp: Double?
        let nbf: Double?
        let aud: Audience?
        let iss: String?
        let piko: Piko?

        init(from decoder: any Decoder) throws {
            let claims = try Spelling.container(decoder, Name.self)
            exp = try claims.decodeIfPresent(Double.self, forKey: .exp)
            nbf = try claims.decodeIfPresent(Double.self, forKey: .nbf)
            aud = try claims.decodeIfPresent(Audience.self, forKey: .aud)
            iss = try claims.decodeIfPresent(String.self, forKey: .iss)
            piko = try claims.decodeIfPresent(Piko.self, forKey: .piko)
        }
    }

    let header: Header
    /// Header and payload as they were sent, with the dot between them.
    let signed: Data
    let signature: Data
    private let payload: Data

    /// nil: not three parts in base64url, or no header that we could follow.
    init?(_ token: [UInt8]) {
        let parts = token.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let head = Base64URL.decode(parts[0]), let payload = Base64URL.decode(parts[1]),
            let signature = Base64URL.decode(parts[2]), !signature.isEmpty
        else { return nil }
        guard let header = try? JSONDecoder().decode(Header.self, from: head), header.crit == nil else { return nil }
        self.header = header
        self.payload = payload
        self.signature = signature
        signed = Data(token[..<parts[1].endIndex])
    }

    /// nil: no claims, or some of another type than they must have.
    var claims: Claims? {
        guard let claims = try? JSONDecoder().decode(Claims.self, from: payload) else { return nil }
        return [claims.exp, claims.nbf].allSatisfy { $0?.isFinite ?? true } ? claims : nil
    }
}

/// How the names of claims are written. Piko 0.9 reads them whatever their case: a token that says `Piko` restricts its bearer there and would
/// permit everything here, where the name counts as it is (RFC 7519 4). Such a token is none.
private enum Spelling {
    private struct AnyName: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// What the decoder has under these names. Throws where another name differs from one of them in case only.
    static func container<Name: CodingKey & CaseIterable>(_ decoder: any Decoder, _: Name.Type) throws -> KeyedDecodingContainer<Name> {
        let known = Set(Name.allCases.map(\.stringValue))
        let misspelt = try decoder.container(keyedBy: AnyName.self).allKeys.first { !known.contains($0.stringValue) && known.contains(folded($0.stringValue)) }
        if let misspelt {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "another case: \(misspelt.stringValue)"))
        }
        return try decoder.container(keyedBy: Name.self)
    }

    /// Upper case first: the long s and the Kelvin sign fold to s and k, as they do for Piko 0.9.
    private static func folded(_ name: String) -> String { name.uppercased().lowercased() }
}

/// Base64 with the alphabet of RFC 4648 5, without padding.
enum Base64URL {
    /// nil for anything that is no such text.
    static func decode(_ text: some Collection<UInt8>) -> Data? {
        var plain = Data(capacity: text.count + 3)
        for byte in text {
            switch byte {
            case UInt8(ascii: "-"): plain.append(UInt8(ascii: "+"))
            case UInt8(ascii: "_"): plain.append(UInt8(ascii: "/"))
            case UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "="): return nil
            default: plain.append(byte)
            }
        }
        while plain.count % 4 != 0 { plain.append(UInt8(ascii: "=")) }
        return Data(base64Encoded: plain)
    }
}
