// SPDX-License-Identifier: MIT
// What this node knows of another one, and what it remembers of one it has forgotten. Values; any thread.
// They apply what they are told and name what changed; whether to believe a teller is decided in Gossip.

/// Another node.
struct Member: Sendable {
    var peer: GossipPeer
    private(set) var entries = VersionedEntries()
    var arrivals: ArrivalWindow
    var status = NodeStatus.active
    /// When it is forgotten; nil while it is active.
    var expiry: UInt64?
    /// Since when it has said it knows less of itself than we do.
    var lowSince: UInt64?
    /// It has begun anew: until then others, who may still know its earlier life alone, are not believed about it.
    var speaksForItselfUntil: UInt64 = 0
    /// When an entry came last.
    private(set) var changed: UInt64 = 0

    /// Of one node; an endpoint's listeners by themselves are bounded at `mostListeners`.
    static let mostEntries = 1 << 18
    static let mostText = 4096
    static let mostListeners = 1 << 24

    init(peer: GossipPeer, interval: UInt64, now: UInt64) {
        self.peer = peer
        // Not twice the interval, as the original's: who joins while another is silent would send it requests for 4 s instead of 2.
        arrivals = ArrivalWindow(first: interval, now: now)
    }

    var version: UInt64 { entries.version }
    var hasLeft: Bool { entries[GossipKey.left].map { !$0.isDeleted } ?? false }

    /// Applies the entries that are newer than what is known, in order. Stops at the first that no node could have written.
    /// - Returns: how many were newer.
    mutating func apply(_ delta: [GossipEntry], now: UInt64, _ changes: inout [ClusterChange]) -> Int {
        var applied = 0
        for entry in delta where entry.version > entries.version {
            guard isAcceptable(entry) else { break }
            entries.put(entry)
            applied += 1
            if let change = Self.change(peer.id, entry) { changes.append(change) }
            if entry.key == GossipKey.compact { compact(entry, &changes) }
        }
        if applied > 0 { changed = now }
        return applied
    }

    private func isAcceptable(_ entry: GossipEntry) -> Bool {
        entry.version < GossipKey.versionLimit && entry.key.utf8.count <= Self.mostText
            && entry.value.utf8.count <= Self.mostText && entries.count < Self.mostEntries
    }

    private mutating func compact(_ entry: GossipEntry, _ changes: inout [ClusterChange]) {
        guard let limit = UInt64(entry.value), limit < entry.version else { return }
        forget(entries.discard(upTo: limit), &changes)
    }

    /// Forgets the keys of an earlier life.
    mutating func beginAnew(_ changes: inout [ClusterChange]) {
        forget(entries.entries(), &changes)
        entries = VersionedEntries()
        lowSince = nil
    }

    private func forget(_ gone: [GossipEntry], _ changes: inout [ClusterChange]) {
        for entry in gone where !entry.isDeleted {
            let deleted = GossipEntry(key: entry.key, value: "", version: entry.version, isDeleted: true)
            if let change = Self.change(peer.id, deleted) { changes.append(change) }
        }
    }

    /// What an entry means to the router.
    static func change(_ id: String, _ entry: GossipEntry) -> ClusterChange? {
        if entry.key.hasPrefix(GossipKey.endpointPrefix) {
            let count = entry.isDeleted ? 0 : Int(entry.value) ?? 0
            let endpoint = String(entry.key.dropFirst(GossipKey.endpointPrefix.count))
            return .endpoint(id: id, endpoint: endpoint, listeners: min(max(count, 0), mostListeners))
        }
        switch entry.key {
        case GossipKey.proxyAddress: return .proxyAddress(id: id, entry.isDeleted ? "" : entry.value)
        case GossipKey.adminAddress: return .adminAddress(id: id, entry.isDeleted ? "" : entry.value)
        default: return nil
        }
    }
}

/// A node that was forgotten, so that hearsay does not bring it back.
struct Tombstone: Sendable {
    var peer: GossipPeer
    let hasLeft: Bool
    /// When this is forgotten, too.
    var expiry: UInt64
    /// Not asked again before.
    var nextProbe: UInt64
}

/// A small random generator (SplitMix64), seeded: the same seed, the same choices.
public struct GossipRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
