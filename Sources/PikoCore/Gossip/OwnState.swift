// SPDX-License-Identifier: MIT
// What this node says of itself: its keys, the versions they get, and how deleted keys are got rid of. A value; any thread.
// Every life of a node writes above all its earlier ones, then discards them, with the means the original has too.

/// The names of the keys that have a meaning.
enum GossipKey {
    static let proxyAddress = "proxy_addr"
    static let adminAddress = "admin_addr"
    static let endpointPrefix = "endpoint:"
    static let left = "_internal:left"
    static let compact = "_internal:compact"
    /// Versions from here on are a peer's mistake: a node could write no more after them.
    static let versionLimit: UInt64 = 1 << 62
}

/// The keys of this node.
struct OwnState: Sendable {
    /// Deleted keys that are kept before a compaction; more where more keys live, so that a deletion costs a bounded number of entries.
    static let deletedLimit = 100
    /// Keys that get new versions at once; a larger state is compacted bit by bit, for it would fill packets for seconds.
    static let compactionStep = 100

    private(set) var entries: VersionedEntries
    private(set) var hasLeft = false

    /// A compaction under way: everything up to `target` gets a new version or goes; done up to `cursor`.
    private struct Compaction {
        let target: UInt64
        var cursor: UInt64
    }
    private var compaction: Compaction?

    /// - Parameter base: all versions of this life are above it, and what earlier lives wrote up to it is discarded. 0 for none.
    init(base: UInt64, proxyAddress: String, adminAddress: String) {
        precondition(base < GossipKey.versionLimit, "a base leaves versions to write")
        entries = VersionedEntries(version: base)
        put(GossipKey.proxyAddress, proxyAddress)
        put(GossipKey.adminAddress, adminAddress)
        if base > 0 { put(GossipKey.compact, String(base), isInternal: true) }
    }

    var version: UInt64 { entries.version }

    /// Sets a key. False when it has that value already.
    mutating func set(_ key: String, _ value: String) -> Bool {
        if let old = entries[key], !old.isDeleted, old.value == value { return false }
        put(key, value)
        return true
    }

    /// Deletes a key. False when there is none.
    mutating func delete(_ key: String) -> Bool {
        guard let old = entries[key], !old.isDeleted else { return false }
        put(key, "", isDeleted: true)
        compact(2)
        return true
    }

    /// Says that this node leaves. False when it has said so.
    mutating func leave() -> Bool {
        guard !hasLeft else { return false }
        hasLeft = true
        put(GossipKey.left, "", isInternal: true)
        return true
    }

    /// Writes everything anew above a version that somebody knows of this node and it does not: an earlier life's.
    mutating func rise(above heard: UInt64) {
        let live = entries.entries().filter { !$0.isDeleted && $0.key != GossipKey.compact }
        let first = [GossipKey.proxyAddress, GossipKey.adminAddress]
        entries = VersionedEntries(version: max(heard, version))
        compaction = nil
        let base = version
        for entry in live where first.contains(entry.key) { put(entry.key, entry.value) }
        for entry in live where !first.contains(entry.key) { put(entry.key, entry.value, isInternal: entry.isInternal) }
        put(GossipKey.compact, String(base), isInternal: true)
    }

    /// Begins a compaction where one is due, and goes on with it by so many keys.
    mutating func compact(_ keys: Int) {
        var budget = keys
        if compaction == nil {
            let live = entries.count - entries.deletedCount
            guard entries.deletedCount >= max(Self.deletedLimit, live) else { return }
            compaction = Compaction(target: version, cursor: 0)
            refreshAddresses()
            budget = Self.compactionStep
        }
        refresh(budget)
    }

    /// First of all, for a node is of no use to others before they know these.
    private mutating func refreshAddresses() {
        for key in [GossipKey.proxyAddress, GossipKey.adminAddress] {
            if let entry = entries[key] { put(key, entry.value) }
        }
    }

    private mutating func refresh(_ budget: Int) {
        guard var round = compaction else { return }
        var old: [GossipEntry] = []
        entries.forEach(above: round.cursor) { entry in
            guard entry.version <= round.target, old.count < budget else { return false }
            round.cursor = entry.version
            if !entry.isDeleted, entry.key != GossipKey.compact { old.append(entry) }
            return true
        }
        for entry in old { put(entry.key, entry.value, isInternal: entry.isInternal) }
        compaction = round
        if old.count < budget { finish(round.target) }
    }

    private mutating func finish(_ target: UInt64) {
        put(GossipKey.compact, String(target), isInternal: true)
        _ = entries.discard(upTo: target)
        compaction = nil
    }

    private mutating func put(_ key: String, _ value: String, isInternal: Bool = false, isDeleted: Bool = false) {
        let next = entries.version + 1
        entries.put(GossipEntry(key: key, value: value, version: next, isInternal: isInternal, isDeleted: isDeleted))
    }
}
