// SPDX-License-Identifier: MIT
// Tokens that were verified, so that they cost nothing the second time. Bounded, and a token is forgotten when it expires. Only good tokens get
// in, so that nobody without one can push another out. A value, loop-confined; clock in seconds since 1970, passed in.

/// Verified tokens, by their bytes and the tenant whose keys verified them: two tenants may have one key, with other rules.
///
/// Two halves: what is used stays in the young one; when that is full it becomes the old one, and the old one is dropped.
public struct TokenCache {
    private struct Entry {
        let token: [UInt8]
        let tenant: [UInt8]
        let grant: TokenGrant

        var bytes: Int { token.count + tenant.count }

        func isFor(_ token: UnsafeRawBufferPointer, _ tenant: UnsafeRawBufferPointer) -> Bool {
            self.token.withUnsafeBytes { TokenCache.equal($0, token) } && self.tenant.withUnsafeBytes { TokenCache.equal($0, tenant) }
        }
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
    /// - Parameter tenant: empty: none.
    public mutating func find(_ token: UnsafeRawBufferPointer, tenant: UnsafeRawBufferPointer, now: Double) -> TokenGrant? {
        if count == 0 { return nil }
        let key = Self.key(token, tenant)
        if let entry = young.entries[key] { return entry.isFor(token, tenant) ? grant(entry, key, now) : nil }
        guard let entry = old.entries.removeValue(forKey: key) else { return nil }
        guard entry.isFor(token, tenant), let grant = grant(entry, key, now) else { return nil }
        add(entry, key)
        return grant
    }

    /// Keeps what a verified token grants.
    public mutating func keep(_ token: [UInt8], tenant: [UInt8], _ grant: TokenGrant) {
        let key = token.withUnsafeBytes { token in tenant.withUnsafeBytes { Self.key(token, $0) } }
        add(Entry(token: token, tenant: tenant, grant: grant), key)
    }

    public mutating func clear() {
        young = Half()
        old = Half()
    }

    private mutating func grant(_ entry: Entry, _ key: Int, _ now: Double) -> TokenGrant? {
        if now < entry.grant.end { return entry.grant }
        if young.entries.removeValue(forKey: key) != nil { young.bytes -= entry.bytes }
        return nil
    }

    private mutating func add(_ entry: Entry, _ key: Int) {
        if young.entries.count >= mostEntries / 2 || young.bytes + entry.bytes > mostBytes / 2 {
            old = young
            young = Half()
        }
        if let replaced = young.entries.updateValue(entry, forKey: key) { young.bytes -= replaced.bytes }
        young.bytes += entry.bytes
    }

    private static func equal(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
        one.count == other.count && one.elementsEqual(other)
    }

    private static func key(_ token: UnsafeRawBufferPointer, _ tenant: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: tenant)
        hasher.combine(tenant.count)
        hasher.combine(bytes: token)
        return hasher.finalize()
    }
}
