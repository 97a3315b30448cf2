// SPDX-License-Identifier: MIT
// The first line of a request whose head as a whole is refused, for its line in the log and its count. Pure; safe on arbitrary bytes.
// Shows nothing but what is a well-formed line beyond doubt: elsewhere in such bytes a credential can stand.

/// method SP path SP HTTP/1.x CRLF. The bytes are those it was read from.
public struct RequestLine {
    /// A token of at most 64 bytes.
    public let method: UnsafeRawBufferPointer
    /// Begins with a slash; with its query.
    public let target: UnsafeRawBufferPointer
    public let version: HTTPVersion
    public let known: KnownMethod

    /// nil: there is no such line at the beginning.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return nil }
        var cursor = HeadCursor(base: base, end: bytes.count)
        let count = cursor.skipToken().count
        guard count > 0, count <= 64, (try? cursor.skip(ByteClass.space, or: .badMethod)) != nil, cursor.peek == ByteClass.slash
        else { return nil }
        let start = cursor.at
        cursor.at = ByteClass.firstNonTarget(base, from: start, to: bytes.count)
        let end = cursor.at
        guard (try? cursor.skip(ByteClass.space, or: .badTarget)) != nil, let version = try? cursor.version(),
            (try? cursor.skipLineEnd(or: .badVersion)) != nil
        else { return nil }
        method = UnsafeRawBufferPointer(rebasing: bytes[..<count])
        target = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
        self.version = version
        known = KnownMethod(method)
    }
}
