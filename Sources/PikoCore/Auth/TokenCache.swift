// SPDX-License-Identifier: MIT
// Tokens that were verified, so that they cost nothing the second time. Bounded, and a token is forgotten when it expires. Only good tokens get
// in, so that nobody without one can push another out. A value, loop-confined; clock in seconds since 1970, passed in.

/// Verified tokens, by their bytes.
///
/// Two halves: what is used stays in the young one; when that is full it becomes the old one, and the old one is dropped.
public struct TokenCache {
    private struct Entry {
        let token: [UInt8]
        let grant: TokenGrant
    }

    private struct Half {
        var entries: [Int: Entry] = [:]
        var bytes = 0
    }

    /// Of both halves together.
    private let mostEntries: Int
    private let mostBytes: Int
    private var young = Half()
    private var old = Half()

    public init(entries: Int = 4096, bytes: Int = 2 << 20) {
        mostEntries = entries
        mostBytes = bytes
    }

    public var count: Int { young.entries.count + old.entries.count }

    /// What the token grants; nil: it is to be verified.
    public mutating func find(_ token: UnsafeRawBufferPointer, now: Double) -> TokenGrant? {
        if count == 0 { return nil }
        let key = Self.key(token)
        if let entry = young.entries[key] { return grant(entry, key, token, now) }
        guard let entry = old.entries.removeValue(forKey: key) else { return nil }
        guard let grant = grant(entry, key, token, now) else { return nil }
        add(entry, key)
        return grant
    }

    /// Keeps what a verified token grants.
    public mutating func keep(_ token: [UInt8], _ grant: TokenGrant) {
        add(Entry(token: token, grant: grant), token.withUnsafeBytes { Self.key($0) })
    }

    public mutating func clear() {
        young = Half()
        old = Half()
    }

    private mutating func grant(_ entry: Entry, _ key: Int, _ token: UnsafeRawBufferPointer, _ now: Double) -> TokenGrant? {
        guard entry.token.count == token.count, entry.token.withUnsafeBytes({ $0.elementsEqual(token) }) else { return nil }
        if now < entry.grant.end { return entry.grant }
        if young.entries.removeValue(forKey: key) != nil { young.bytes -= token.count }
        return nil
    }

    private mutating func add(_ entry: Entry, _ key: Int) {
        if young.entries.count >= mostEntries / 2 || young.bytes + entry.token.count > mostBytes / 2 {
            old = young
            young = Half()
        }
        if let replaced = young.entries.updateValue(entry, forKey: key) { young.bytes -= replaced.token.count }
        young.bytes += entry.token.count
    }

    private static func key(_ token: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: token)
        return hasher.finalize()
    }
}
