// SPDX-License-Identifier: MIT
// Finds the token in a request's head: which of the two fields carries it, and its scheme (protocol.md, "Tokens").
// Pure; no allocation; it looks at no token from the inside. A query is never looked at.

/// The field that a token came in.
public enum TokenField: UInt8, Sendable {
    case pikoAuthorization, authorization
}

/// A token as a request presents it. Borrowed from the head: valid until that is parsed again or released.
public struct PresentedToken {
    public let field: TokenField
    /// The whole value: scheme, space, token.
    public let value: UnsafeRawBufferPointer
    /// What follows `Bearer `; may be empty, is at most `longest` bytes.
    public let token: UnsafeRawBufferPointer
    /// `x-piko-tenant-id`; empty: none.
    public internal(set) var tenant = UnsafeRawBufferPointer(start: nil, count: 0)

    /// Bytes of a token. No issuer makes longer ones; a longer one is invalid without a look.
    public static let longest = 16 * 1024

    /// Takes a field's value apart. The scheme's case matters.
    public init(_ value: UnsafeRawBufferPointer, in field: TokenField) throws(TokenFault) {
        guard let space = value.firstIndex(of: ByteClass.space) else { throw .malformed }
        guard value[..<space].elementsEqual("Bearer".utf8) else { throw .unsupportedType }
        let token = UnsafeRawBufferPointer(rebasing: value[(space + 1)...])
        guard token.count <= Self.longest else { throw .invalid }
        self.field = field
        self.value = value
        self.token = token
    }
}

extension RequestHead {
    /// The token: of `x-piko-authorization` unless that is empty, else of `authorization`. With two of these, two readers could choose
    /// differently: refused (of the first, the head itself is refused).
    public func presentedToken() throws(TokenFault) -> PresentedToken {
        var own = -1, plain = -1, plainCount = 0, tenant = -1
        for index in 0..<memory.fieldCount {
            switch memory.fields[index].known {
            case .xPikoAuthorization: own = index
            case .xPikoTenantID: tenant = index
            case .authorization:
                plain = index
                plainCount &+= 1
            default: break
            }
        }
        var presented = try presentedToken(own: own, plain: plain, plainCount)
        if tenant >= 0 { presented.tenant = memory.value(at: tenant) }
        return presented
    }

    private func presentedToken(own: Int, plain: Int, _ plainCount: Int) throws(TokenFault) -> PresentedToken {
        if own >= 0, memory.fields[own].valueCount > 0 { return try PresentedToken(memory.value(at: own), in: .pikoAuthorization) }
        if plainCount > 1 { throw .malformed }
        guard plain >= 0, memory.fields[plain].valueCount > 0 else { throw .missing }
        return try PresentedToken(memory.value(at: plain), in: .authorization)
    }
}
