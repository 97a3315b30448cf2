// SPDX-License-Identifier: MIT
// The doors of Gossip: what it is told, what it wants done, what it counts. Values; any thread.
// Times are milliseconds of one monotonic clock.

/// How a node gossips.
public struct GossipSettings: Sendable {
    public var peer: GossipPeer
    public var proxyAddress: String
    public var adminAddress: String
    /// Milliseconds between digests.
    public var interval: UInt64
    /// Without what sealing adds.
    public var maxPacketSize: Int
    /// Bytes that sealing adds to a packet.
    public var envelope: Int
    /// Versions of this life are above it: microseconds since 1970, so that every life writes above the one before. 0: from 1.
    public var versionBase: UInt64

    public init(
        peer: GossipPeer, proxyAddress: String, adminAddress: String, interval: UInt64 = 100, maxPacketSize: Int = 1400,
        versionBase: UInt64 = 0, envelope: Int = 0
    ) {
        self.peer = peer
        self.proxyAddress = proxyAddress
        self.adminAddress = adminAddress
        self.interval = max(interval, 1)
        self.maxPacketSize = max(maxPacketSize, 512) - envelope
        self.envelope = envelope
        self.versionBase = versionBase
    }
}

/// What happens to a node.
public enum GossipEvent: Sendable {
    /// `nextTick` has come.
    case tick
    /// A UDP packet.
    case packet(ArraySlice<UInt8>, from: String)
    /// A UDP packet that has been read.
    case message(GossipMessage, from: String)
    /// The first bytes of an inbound connection that are a whole message (GossipMessage.read): answered by one `.answer`.
    case request(ArraySlice<UInt8>)
    /// The reply to a `.join`.
    case joinReply(ArraySlice<UInt8>, from: String)
    /// A `.join` that ended without a reply.
    case joinFailed(address: String)
    /// What the seeds resolve to now, "host:port" each: the answer to `.resolveSeeds`.
    case seeds([String])
    /// An endpoint of this node has so many listeners; 0: no more.
    case listeners(endpoint: String, Int)
    /// This node leaves; it goes on answering.
    case leave
    /// Something came that was not taken: to be counted, and perhaps told.
    case rejected(GossipRejection, from: String)
}

/// What a node wants done.
public enum GossipDirective: Equatable, Sendable {
    /// Send `message.bytes` by UDP. A packet lost is no error.
    case send(GossipMessage, to: String)
    /// Connect, send, read a reply (GossipReply.read, toJoin: true), within 10 s; then `.joinReply` or `.joinFailed`.
    case join([UInt8], to: String)
    /// Connect, send, read a reply, within 10 s; nothing comes of it.
    case leave([UInt8], to: String)
    /// Write to the connection the `.request` came from, then close it. Empty: close at once.
    case answer([UInt8])
    /// Resolve the configured seeds, then `.seeds`.
    case resolveSeeds
    /// Apply to the ClusterView.
    case change(ClusterChange)
    /// Worth a line in the log.
    case log(GossipFact)
}

/// What an operator may want to know.
public enum GossipFact: Equatable, Sendable {
    /// The first seed has answered.
    case joined(by: String)
    case nodeFound(GossipPeer)
    case nodeUnreachable(GossipPeer)
    case nodeBack(GossipPeer)
    case nodeLeft(GossipPeer)
    case nodeForgotten(GossipPeer)
    /// Others knew newer keys of this node than itself: an earlier life's, or those of another node with the same id.
    case earlierLife(version: UInt64)
    /// Somebody else speaks with this node's id.
    case sameID(address: String)
    /// More nodes than are kept.
    case tooManyNodes
    /// They say more than is kept.
    case tooMuchState
    /// An endpoint whose name fits no packet is not announced.
    case endpointTooLong(bytes: Int)
    /// This process stood still for so long.
    case paused(milliseconds: UInt64)
    /// Something was not taken; said of each reason now and then.
    case rejected(GossipRejection, from: String)
}

/// Totals, named after the original's `piko_gossip_*_total`.
public struct GossipCounters: Equatable, Sendable {
    public var connectionsInbound: UInt64 = 0
    public var connectionsOutbound: UInt64 = 0
    public var streamBytesInbound: UInt64 = 0
    public var streamBytesOutbound: UInt64 = 0
    public var packetBytesInbound: UInt64 = 0
    public var packetBytesOutbound: UInt64 = 0
    public var digestEntriesInbound: UInt64 = 0
    public var digestEntriesOutbound: UInt64 = 0
    public var deltaEntriesInbound: UInt64 = 0
    public var deltaEntriesOutbound: UInt64 = 0
    /// Ours alone: what was not taken, by reason; digests not answered because there were too many; packets of nodes not known before.
    public var rejected: [GossipRejection: UInt64] = [:]
    public var unanswered: UInt64 = 0
    public var unknownNodePackets: UInt64 = 0
    public var malformed: UInt64 { rejected[.malformed] ?? 0 }

    public init() {}
}

/// A node as `/status/gossip/nodes` shows it.
public struct GossipNodeState: Equatable, Sendable {
    public let peer: GossipPeer
    public let version: UInt64
    public let status: NodeStatus
    /// Milliseconds of the caller's clock when it is forgotten; nil while it is active.
    public let expiry: UInt64?
    public let counts: EntryCounts
}

/// So many of something a second, and no more.
struct TokenBucket: Sendable {
    private let rate: Double
    private let most: Double
    private var tokens: Double
    private var filled: UInt64

    /// - Parameter most: at once.
    init(rate: Double, most: Double, now: UInt64) {
        self.rate = rate
        self.most = most
        tokens = most
        filled = now
    }

    mutating func take(_ now: UInt64) -> Bool {
        if now > filled {
            tokens = min(most, tokens + Double(now - filled) * rate / 1000)
            filled = now
        }
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}
