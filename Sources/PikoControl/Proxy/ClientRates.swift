// SPDX-License-Identifier: MIT
// The request rates of all clients of a node, shared by its loops: tables behind locks, each held for one look-up, and each for a part of the
// clients, so that loops seldom meet. Any thread.

import PikoCore
import PikoEngine
import Synchronization

/// Who has sent how many requests lately.
public final class ClientRates: Sendable {
    private final class Shard: Sendable {
        let rate: Mutex<RequestRate>

        init() { rate = Mutex(RequestRate(places: ClientRates.placesOfShard, seed: .random(in: .min ... .max))) }
    }

    private static let shardCount = 16
    /// 64 KiB of memory, once it is used.
    private static let placesOfShard = 4096

    private let shards = (0..<shardCount).map { _ in Shard() }
    private let limit: Atomic<Int>
    private let refusals = Atomic<UInt64>(0)

    /// - Parameter perSecond: requests of one client; 0: no limit.
    public init(perSecond: Int) { limit = Atomic(perSecond) }

    public func setLimit(perSecond: Int) { limit.store(perSecond, ordering: .relaxed) }

    public var isOn: Bool { limit.load(ordering: .relaxed) > 0 }

    /// Requests refused so far.
    public var refused: UInt64 { refusals.load(ordering: .relaxed) }

    /// Whether the client (SocketAddress.network) may send a request now.
    public func admits(_ client: UInt64) -> Bool {
        let perSecond = limit.load(ordering: .relaxed)
        guard perSecond > 0 else { return true }
        let shard = shards[Int((client &* 0xD6E8_FEB8_6659_FD93) >> 60)]
        let now = EventLoop.nanoseconds
        if shard.rate.withLock({ $0.admits(client, perSecond: perSecond, now: now) }) { return true }
        refusals.add(1, ordering: .relaxed)
        return false
    }
}
