// SPDX-License-Identifier: MIT
// Which nodes of `piko test cluster` start and stop, and when. A value without clock or processes: told what has happened, it says what to do.
// A node is replaced by starting its successor first, so that a cluster always serves.

/// What is to be done with a node, by its number.
public enum LocalClusterStep: Equatable, Sendable {
    case start(Int)
    /// Gently.
    case stop(Int)
    /// It has not ended in time.
    case kill(Int)
}

/// The nodes of a cluster on one machine. Times are milliseconds of one monotonic clock.
public struct LocalClusterPlan: Sendable {
    private struct Node {
        let number: Int
        var isReady = false
        /// To be stopped once all others are ready.
        var isReplaced = false
        /// Told to stop: when it is killed.
        var killTime: UInt64?
    }

    /// Oldest first.
    private var nodes: [Node] = []
    private var wanted: Int
    /// 0: never.
    private var churn: UInt64
    private var nextChurn: UInt64
    /// How long a node may take to stop.
    private let grace: UInt64
    private var nextStart: UInt64 = 0
    private var lastNumber = 0

    /// Between the end of a node that was to stay and its replacement, in milliseconds.
    public static let pause: UInt64 = 1_000

    public init(nodes: Int, churn: UInt64, grace: UInt64, now: UInt64) {
        wanted = nodes
        self.churn = churn
        self.grace = grace
        nextChurn = now &+ churn
    }

    // MARK: What has happened

    public mutating func configure(nodes: Int, churn: UInt64, now: UInt64) {
        wanted = nodes
        if churn != self.churn { nextChurn = now &+ churn }
        self.churn = churn
    }

    /// All nodes stop; none is started any more.
    public mutating func stopAll() {
        wanted = 0
        churn = 0
    }

    public mutating func setReady(_ number: Int, _ isReady: Bool) {
        if let index = nodes.firstIndex(where: { $0.number == number }) { nodes[index].isReady = isReady }
    }

    /// Its process is gone.
    /// - Returns: false when it was to stay.
    @discardableResult
    public mutating func ended(_ number: Int, now: UInt64) -> Bool {
        guard let index = nodes.firstIndex(where: { $0.number == number }) else { return true }
        let wasToEnd = nodes.remove(at: index).killTime != nil
        if !wasToEnd { nextStart = now &+ Self.pause }
        return wasToEnd
    }

    // MARK: What to do

    /// The nodes that take connections, oldest first.
    public var serving: [Int] { nodes.filter { $0.isReady && $0.killTime == nil }.map(\.number) }
    public var isEnded: Bool { nodes.isEmpty }

    /// What is due; several times a second.
    public mutating func tick(now: UInt64) -> [LocalClusterStep] {
        if churn > 0, now >= nextChurn { replaceOldest(now) }
        return stopSurplus(now) + start(now) + killOverdue(now)
    }

    /// Not before the one before is done.
    private mutating func replaceOldest(_ now: UInt64) {
        let live = nodes.indices.filter { nodes[$0].killTime == nil }
        guard let oldest = live.first, live.allSatisfy({ nodes[$0].isReady && !nodes[$0].isReplaced }) else { return }
        nodes[oldest].isReplaced = true
        nextChurn = now &+ churn
    }

    private var staying: [Node] { nodes.filter { $0.killTime == nil && !$0.isReplaced } }

    private mutating func stopSurplus(_ now: UInt64) -> [LocalClusterStep] {
        let surplus = staying.prefix(max(staying.count - wanted, 0)).map(\.number)
        let areEnough = staying.count { $0.isReady } >= wanted
        var steps: [LocalClusterStep] = []
        for index in nodes.indices where nodes[index].killTime == nil {
            guard surplus.contains(nodes[index].number) || (nodes[index].isReplaced && areEnough) else { continue }
            nodes[index].killTime = now &+ grace
            steps.append(.stop(nodes[index].number))
        }
        return steps
    }

    private mutating func start(_ now: UInt64) -> [LocalClusterStep] {
        guard now >= nextStart else { return [] }
        return (0..<max(wanted - staying.count, 0)).map { _ in
            lastNumber += 1
            nodes.append(Node(number: lastNumber))
            return .start(lastNumber)
        }
    }

    private mutating func killOverdue(_ now: UInt64) -> [LocalClusterStep] {
        var steps: [LocalClusterStep] = []
        for index in nodes.indices where nodes[index].killTime.map({ $0 <= now }) == true {
            nodes[index].killTime = .max
            steps.append(.kill(nodes[index].number))
        }
        return steps
    }
}
