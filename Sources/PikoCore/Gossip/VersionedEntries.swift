// SPDX-License-Identifier: MIT
// The keys of one node in the order of their versions, as that node wrote them or as we heard them. A value; any thread.
// Finding what is above a version costs a binary search, not a sort: a digest a millisecond against 10,000 keys stays cheap.

/// How many entries a node has, by what `piko_gossip_entries` tells apart.
public struct EntryCounts: Equatable, Sendable {
    public internal(set) var live = 0
    public internal(set) var liveInternal = 0
    public internal(set) var deleted = 0
    public internal(set) var deletedInternal = 0

    mutating func add(_ entry: GossipEntry, _ change: Int) {
        switch (entry.isDeleted, entry.isInternal) {
        case (false, false): live += change
        case (false, true): liveInternal += change
        case (true, false): deleted += change
        case (true, true): deletedInternal += change
        }
    }
}

/// Keys with versions. Each key has one entry, its newest; an entry's version is above all that were put before it.
struct VersionedEntries: Sendable {
    private struct Slot {
        let version: UInt64
        /// nil once a newer entry of the same key has taken its place.
        var entry: GossipEntry?
    }

    private var slots: [Slot] = []
    private var places: [String: Int] = [:]

    /// Of the last entry put, or what it began with.
    private(set) var version: UInt64
    private(set) var counts = EntryCounts()
    /// Entries that say their key is deleted.
    var deletedCount: Int { counts.deleted + counts.deletedInternal }
    /// Bytes that the entries take in memory, roughly.
    private(set) var weight = 0

    init(version: UInt64 = 0) { self.version = version }

    /// Entries, deleted keys included.
    var count: Int { places.count }

    subscript(key: String) -> GossipEntry? { places[key].flatMap { slots[$0].entry } }

    /// Puts an entry, whose version must be above all others.
    mutating func put(_ entry: GossipEntry) {
        precondition(entry.version > version, "entries come in version order")
        if let old = places[entry.key] { clear(old) }
        places[entry.key] = slots.count
        slots.append(Slot(version: entry.version, entry: entry))
        version = entry.version
        counts.add(entry, 1)
        weight += Self.weight(of: entry)
        closeUpIfSparse()
    }

    /// Drops the entries up to a version: what a compaction has made superfluous. Returns them in version order.
    mutating func discard(upTo limit: UInt64) -> [GossipEntry] {
        var discarded: [GossipEntry] = []
        for index in 0..<firstSlot(above: limit) {
            guard let entry = slots[index].entry else { continue }
            discarded.append(entry)
            places[entry.key] = nil
            clear(index)
        }
        closeUpIfSparse()
        return discarded
    }

    /// Calls `body` with each entry above a version, lowest first, until it returns false.
    func forEach(above limit: UInt64, _ body: (GossipEntry) -> Bool) {
        for index in firstSlot(above: limit)..<slots.count {
            if let entry = slots[index].entry, !body(entry) { return }
        }
    }

    /// The entries above a version, lowest first.
    func entries(above limit: UInt64 = 0) -> [GossipEntry] {
        slots[firstSlot(above: limit)...].compactMap(\.entry)
    }

    private mutating func clear(_ index: Int) {
        guard let entry = slots[index].entry else { return }
        counts.add(entry, -1)
        weight -= Self.weight(of: entry)
        slots[index].entry = nil
    }

    static func weight(of entry: GossipEntry) -> Int { 128 + 2 * entry.key.utf8.count + entry.value.utf8.count }

    private func firstSlot(above limit: UInt64) -> Int {
        var low = 0
        var high = slots.count
        while low < high {
            let middle = (low + high) / 2
            if slots[middle].version > limit { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// Empty slots are borne up to as many as there are entries: closing up costs a pass over all of them.
    private mutating func closeUpIfSparse() {
        guard slots.count > 2 * places.count + 64 else { return }
        slots.removeAll { $0.entry == nil }
        for (index, slot) in slots.enumerated() {
            if let key = slot.entry?.key { places[key] = index }
        }
    }
}
