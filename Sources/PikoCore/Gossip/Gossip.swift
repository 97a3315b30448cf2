// SPDX-License-Identifier: MIT
// One node's part in gossip (protocol.md, "Gossip"): events in, directives out. A value without sockets and clock, and the same for the
// same seed; confined to the control loop. Beyond the original: the forgotten are remembered, so that hearsay does not revive them; seeds
// are asked for ever, so that a healed network is one cluster; every node is asked within ten intervals; who lags behind asks again at once.

/// Gossip of one node.
///
/// The shell calls `handle` for each event and carries out the directives in order; it sends `.tick` when `nextTick` has come.
/// The first tick is due at once and brings the changes that this node itself is.
public struct Gossip: Sendable {
    /// Bounds and intervals; times in milliseconds.
    enum Limit {
        static let nodes = 2048
        static let tombstones = 1024
        /// Each node is asked once in so many intervals.
        static let rotation = 10
        static let expiry: UInt64 = 60_000
        static let remembered: UInt64 = 600_000
        static let probe: UInt64 = 1_000
        /// Between questions to seeds: while not joined, while one is missing, while all are there.
        static let seeds: (joining: UInt64, missing: UInt64, complete: UInt64) = (500, 2_000, 30_000)
        static let seedCount = 64
        static let dials = 3
        static let dialTime: UInt64 = 11_000
        static let pullsPerSecond = 200.0
        static let answersPerSecond = 1_000.0
        /// Packets of nodes that are not known, in a second: each may become one.
        static let strangersPerSecond = 200.0
        /// An entry that came so long ago makes a node one to be asked for first.
        static let hot: UInt64 = 2_000
        /// A node that says for so long that it knows less of itself than we do has begun anew.
        static let lowClaims: UInt64 = 2_000
        /// For so long others may speak of an earlier life: an original does until it has forgotten it.
        static let earlierLife: UInt64 = 2 * expiry
        static let leaveNotices = 3
        /// Bytes of what all others have said that are kept.
        static let weight = 1 << 30
    }

    public let settings: GossipSettings
    public internal(set) var counters = GossipCounters()
    /// When the next `.tick` is due.
    public internal(set) var nextTick: UInt64
    /// Whether a seed has ever answered, or come by itself.
    public internal(set) var isJoined = false

    var own: OwnState
    var members: [String: Member] = [:]
    /// The ids of the members in the order they came: what is drawn from it is the same for the same seed.
    var order: [String] = []
    var tombstones: [String: Tombstone] = [:]
    var random: GossipRandom
    var now: UInt64
    var out: [GossipDirective]

    /// Active nodes that are still to be asked in this round.
    var rotation: [String] = []
    var activeCount = 0
    var pulls: TokenBucket
    var answers: TokenBucket
    var strangers: TokenBucket
    var lastTick: UInt64?
    var ticks: UInt64 = 0
    var seeds: [String] = []
    /// Seeds that this node itself answered last.
    var aliases: Set<String> = []
    var nextSeedCheck: UInt64
    /// Joins under way, and when they are given up.
    var dialing: [String: UInt64] = [:]
    var nextRise: UInt64 = 0
    var nextTwinLine: UInt64 = 0
    var nextBoundLine: UInt64 = 0
    var nextRejectionLine: [GossipRejection: UInt64] = [:]
    /// Of what all others have said, at the last tick, and of what came since.
    var weight = 0

    public init(_ settings: GossipSettings, random: GossipRandom, now: UInt64) {
        self.settings = settings
        self.random = random
        self.now = now
        nextTick = now
        nextSeedCheck = now
        own = OwnState(
            base: settings.versionBase, proxyAddress: settings.proxyAddress, adminAddress: settings.adminAddress)
        pulls = TokenBucket(rate: Limit.pullsPerSecond, most: 20, now: now)
        answers = TokenBucket(rate: Limit.answersPerSecond, most: 200, now: now)
        strangers = TokenBucket(rate: Limit.strangersPerSecond, most: 500, now: now)
        let id = settings.peer.id
        out = [
            .change(.added(id: id)), .change(.proxyAddress(id: id, settings.proxyAddress)),
            .change(.adminAddress(id: id, settings.adminAddress)),
        ]
    }

    /// Takes what has happened; returns what to do, in order.
    public mutating func handle(_ event: GossipEvent, now time: UInt64) -> [GossipDirective] {
        now = max(now, time)
        switch event {
        case .tick: tick()
        case .packet(let bytes, let source): receive(bytes, from: source)
        case .message(let message, let source): receive(message, from: source)
        case .request(let bytes): answer(bytes)
        case .joinReply(let bytes, let address): takeReply(bytes, from: address)
        case .joinFailed(let address): dialing[address] = nil
        case .seeds(let addresses): ask(seeds: addresses)
        case .listeners(let endpoint, let count): setListeners(endpoint, count)
        case .leave: leave()
        case .rejected(let reason, let source): reject(reason, source)
        }
        defer { out.removeAll() }
        return out
    }

    // MARK: What this node says of itself

    private mutating func setListeners(_ endpoint: String, _ count: Int) {
        let key = GossipKey.endpointPrefix + endpoint
        let entry = GossipEntry(key: key, value: String(count), version: own.version + 1)
        let size = GossipSize.entry(entry) + GossipSize.deltaHeader(settings.peer, entries: 1)
        guard size + GossipSize.prefix + GossipSize.deltaHeader(settings.peer, entries: 0) <= settings.maxPacketSize else {
            return out.append(.log(.endpointTooLong(bytes: key.utf8.count)))
        }
        let isNew = count > 0 ? own.set(key, entry.value) : own.delete(key)
        if isNew { out.append(.change(.endpoint(id: settings.peer.id, endpoint: endpoint, listeners: max(count, 0)))) }
    }

    private mutating func leave() {
        guard own.leave() else { return }
        out.append(.change(.status(id: settings.peer.id, .left)))
        let notice = GossipMessage.leave(from: settings.peer, [ownDelta]).bytes
        for id in activeIDs.shuffled(using: &random).prefix(Limit.leaveNotices) {
            guard let address = members[id]?.peer.address else { continue }
            counters.connectionsOutbound += 1
            counters.streamBytesOutbound += UInt64(notice.count)
            countOutbound([ownDelta])
            out.append(.leave(notice, to: address))
        }
    }

    /// Somebody knows more of this node than itself: write above it, so that this life's keys win. Never so high that no room were left.
    mutating func refute(_ version: UInt64) {
        guard version > own.version, version < GossipKey.versionLimit / 2, now >= nextRise else { return }
        nextRise = now + 1_000
        own.rise(above: version)
        out.append(.log(.earlierLife(version: version)))
    }

    // MARK: For the admin API

    /// All nodes known, this one first.
    public var nodes: [GossipNodeState] {
        let others = members.keys.sorted().compactMap { state($0) }
        return [state(settings.peer.id)].compactMap { $0 } + others
    }

    public func state(_ id: String) -> GossipNodeState? {
        if id == settings.peer.id {
            return GossipNodeState(
                peer: settings.peer, version: own.version, status: own.hasLeft ? .left : .active, expiry: nil,
                counts: own.entries.counts)
        }
        return members[id].map {
            GossipNodeState(
                peer: $0.peer, version: $0.version, status: $0.status, expiry: $0.expiry, counts: $0.entries.counts)
        }
    }

    /// The keys of a node in version order; nil for an unknown one.
    public func entries(_ id: String) -> [GossipEntry]? {
        id == settings.peer.id ? own.entries.entries() : members[id]?.entries.entries()
    }

    /// Whether an address is this node's, as far as it knows: its own, or a seed that it answered itself.
    public func isOwn(_ address: String) -> Bool { address == settings.peer.address || aliases.contains(address) }

    /// Whether another node is there.
    public var knowsOthers: Bool { order.contains { members[$0]?.status == .active } }

    // MARK: What all parts use

    var activeIDs: [String] { order.filter { members[$0]?.status == .active } }
    var ownDelta: NodeDelta { NodeDelta(peer: settings.peer, entries: own.entries.entries()) }
    var ownDigest: DigestEntry { DigestEntry(peer: settings.peer, version: own.version, left: own.hasLeft) }

    mutating func send(_ message: GossipMessage, to address: String) {
        counters.packetBytesOutbound += UInt64(GossipSize.packet(message) + settings.envelope)
        if case .digest(_, _, let entries) = message { counters.digestEntriesOutbound += UInt64(entries.count) }
        if case .delta(_, let nodes) = message { countOutbound(nodes) }
        out.append(.send(message, to: address))
    }

    /// Counts what was not taken. `source`: empty where it is not known.
    mutating func reject(_ reason: GossipRejection, _ source: String) {
        counters.rejected[reason, default: 0] += 1
        guard now >= nextRejectionLine[reason] ?? 0 else { return }
        nextRejectionLine[reason] = now + 10_000
        out.append(.log(.rejected(reason, from: source)))
    }

    mutating func countOutbound(_ nodes: [NodeDelta]) {
        counters.deltaEntriesOutbound += UInt64(nodes.reduce(0) { $0 + $1.entries.count })
    }
}
