// SPDX-License-Identifier: MIT
// Whether a node that starts has found its cluster: what it may say of its readiness and when it must give up. A value without clock
// or sockets; confined to the control loop. Whom to ask, and that they are asked for ever, is decided in Gossip.

/// How the joining at the start of a node stands.
public struct JoinProgress: Sendable {
    /// Milliseconds that the others of a list which names this node too have to answer: who never was there may take long to be missed.
    public static let patience: UInt64 = 3_000
    /// Milliseconds that a resolver has to say who the others are, while nobody else does: two questions of five seconds.
    public static let resolverPatience: UInt64 = 10_000

    public enum Outcome: Equatable, Sendable {
        case searching
        /// Another node answered, or there is no other: this one is the first.
        case found
        /// Nobody answered in time.
        case failed
    }

    public private(set) var outcome: Outcome
    /// The node may say that it is ready: it has its cluster, or nothing to look for it at. A name that resolves to nobody is often one
    /// that only lists nodes once they are ready.
    public private(set) var isReady: Bool
    private let started: UInt64
    private let timeout: UInt64
    private var failed: Set<String> = []
    /// Of the latest look-up; nil before the first.
    private var others: Set<String>?
    private var isListed = false
    private var isComplete = false

    /// - Parameters:
    ///   - hasSeeds: nodes to join were configured; without, the node is a cluster by itself.
    ///   - timeout: milliseconds.
    public init(hasSeeds: Bool, timeout: UInt64, now: UInt64) {
        outcome = hasSeeds ? .searching : .found
        isReady = !hasSeeds
        started = now
        self.timeout = timeout
    }

    /// What the seeds resolve to now: other nodes, and whether this node is one of them.
    /// - Parameter isComplete: no name is still being looked up, and none could not be.
    public mutating func resolved(others: Set<String>, isListed: Bool, isComplete: Bool, now: UInt64) {
        self.others = others
        self.isListed = isListed
        self.isComplete = isComplete
        judge(now)
    }

    /// A seed did not answer.
    public mutating func missed(_ address: String, now: UInt64) {
        failed.insert(address)
        judge(now)
    }

    /// Another node is there.
    public mutating func joined() {
        guard outcome != .failed else { return }
        outcome = .found
        isReady = true
    }

    /// Time has passed.
    public mutating func judge(_ now: UInt64) {
        guard outcome == .searching else { return }
        let passed = now - min(started, now)
        if let others {
            let areMissing = isComplete && others.isSubset(of: failed)
            if isListed, areMissing || passed >= (isComplete ? Self.patience : Self.resolverPatience) { return joined() }
            if others.isEmpty, isComplete { isReady = true }
        }
        if passed >= timeout { outcome = .failed }
    }
}
