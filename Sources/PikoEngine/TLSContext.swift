// SPDX-License-Identifier: MIT
// The Swift face of a TLS context: certificate, key and roots, read once. Any thread; making one blocks for its files.
// It never changes: whoever wants new files makes another one, and connections that are open keep the old.

internal import CUV

/// Why a context could not be made.
public struct TLSFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// Which of the files.
    public enum Part: Sendable { case certificate, key, authorities, library }
    public let part: Part
    /// What is wrong with it, without its path.
    public let description: String

    fileprivate init(_ raw: cuv_tls_fault) {
        switch raw.part {
        case CUV_TLS_CERTIFICATE: part = .certificate
        case CUV_TLS_KEY: part = .key
        case CUV_TLS_AUTHORITIES: part = .authorities
        default: part = .library
        }
        description = withUnsafeBytes(of: raw.words) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}

/// What one end of TLS needs to know. TLS 1.2 and 1.3.
///
/// `@unchecked Sendable`: the C object is immutable but for what it locks itself; it is freed with the last reference.
public final class TLSContext: @unchecked Sendable {
    let raw: OpaquePointer
    public let isServer: Bool

    private init(_ raw: OpaquePointer, isServer: Bool) {
        self.raw = raw
        self.isServer = isServer
    }

    deinit { cuv_tls_context_free(raw) }

    /// A server's. Paths of PEM files. With `clientAuthorities` every client must show a certificate that they signed.
    /// `plainAnswer` is sent, as it is, to a peer that speaks plain text.
    public static func server(
        certificate: String, key: String, clientAuthorities: String? = nil, plainAnswer: String? = nil
    ) throws(TLSFault) -> TLSContext {
        try make(certificate, key, clientAuthorities, plainAnswer, isServer: true, isUnchecked: false)
    }

    /// A client's. `roots` instead of the system's; `isUnchecked`: any certificate of any name will do.
    public static func client(
        certificate: String? = nil, key: String? = nil, roots: String? = nil, isUnchecked: Bool = false
    ) throws(TLSFault) -> TLSContext {
        try make(certificate, key, roots, nil, isServer: false, isUnchecked: isUnchecked)
    }

    /// A client's that has no files, and so none that could be wrong. Made once.
    public static let systemRoots: TLSContext = {
        do throws(TLSFault) {
            return try .client()
        } catch {
            preconditionFailure("a client without files: \(error)")
        }
    }()

    private static func make(
        _ certificate: String?, _ key: String?, _ authorities: String?, _ plainAnswer: String?, isServer: Bool, isUnchecked: Bool
    ) throws(TLSFault) -> TLSContext {
        var fault = cuv_tls_fault()
        let raw = withText(certificate) { certificate in
            withText(key) { key in
                withText(authorities) { authorities in
                    withText(plainAnswer) { answer in
                        var config = cuv_tls_config(
                            server: isServer, certificate: certificate, key: key, authorities: authorities,
                            unchecked: isUnchecked, plain_answer: answer)
                        return cuv_tls_context_new(&config, &fault)
                    }
                }
            }
        }
        guard let raw else { throw TLSFault(fault) }
        return TLSContext(raw, isServer: isServer)
    }

    /// When its certificate expires, in seconds since 1970; nil where it has none.
    public var expiry: Int64? {
        let seconds = cuv_tls_context_expiry(raw)
        return seconds == 0 ? nil : seconds
    }
}

private func withText<Result>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> Result) -> Result {
    guard let text else { return body(nil) }
    return text.withCString { body($0) }
}
