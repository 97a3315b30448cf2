// SPDX-License-Identifier: MIT
// The Swift face of sealing: a key derived from a shared secret, which encrypts and authenticates (AES-256-GCM). Owns the C key and frees it.
// Any thread, one at a time. What is sealed, and that no nonce serves twice, is the caller's.

internal import CUV

/// A key for one purpose, derived from a secret (HKDF-SHA256, RFC 5869).
public final class SealingKey {
    /// Bytes of a secret, and what sealing adds to a text.
    public static let secretSize = Int(CUV_SEAL_SECRET_SIZE)
    public static let tagSize = Int(CUV_SEAL_TAG_SIZE)

    private let raw: OpaquePointer

    /// - Parameter secret: `secretSize` bytes.
    public init(secret: [UInt8], salt: [UInt8], purpose: String) {
        let key = Self.derive(secret, salt, purpose, count: Self.secretSize)
        guard let raw = cuv_seal_make(key) else { preconditionFailure("no memory for a key") }
        self.raw = raw
    }

    deinit { cuv_seal_free(raw) }

    /// Bytes for one purpose that tell nothing of the secret.
    public static func derive(_ secret: [UInt8], _ salt: [UInt8], _ purpose: String, count: Int) -> [UInt8] {
        precondition(secret.count == secretSize, "a secret has \(secretSize) bytes")
        var out = [UInt8](repeating: 0, count: count)
        precondition(cuv_derive(secret, salt, salt.count, purpose, &out, count) == 0, "no memory to derive a key")
        return out
    }

    /// The text encrypted, and its tag. `head` is authenticated with it and travels beside. A nonce serves once.
    public func seal(_ text: ArraySlice<UInt8>, nonce: UInt64, head: ArraySlice<UInt8>) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: text.count + Self.tagSize)
        let status = text.withUnsafeBufferPointer { text in
            head.withUnsafeBufferPointer { head in
                cuv_seal_close(raw, nonce, head.baseAddress, head.count, text.baseAddress, text.count, &out)
            }
        }
        precondition(status == 0, "no memory to seal")
        return out
    }

    /// The text; nil when it was not sealed so: other bytes, another head, nonce or key.
    public func open(_ sealed: ArraySlice<UInt8>, nonce: UInt64, head: ArraySlice<UInt8>) -> [UInt8]? {
        guard sealed.count >= Self.tagSize else { return nil }
        var out = [UInt8](repeating: 0, count: sealed.count - Self.tagSize)
        let status = sealed.withUnsafeBufferPointer { sealed in
            head.withUnsafeBufferPointer { head in
                cuv_seal_open(raw, nonce, head.baseAddress, head.count, sealed.baseAddress, sealed.count, &out)
            }
        }
        return status == 0 ? out : nil
    }
}
