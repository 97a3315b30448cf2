// SPDX-License-Identifier: MIT
// How a server node leaves without losing anything: what it does next, given what still runs and the time. A value without clock or sockets;
// PikoControl asks it again and again and carries out what it says. Told at the very beginning, by whoever makes the plan: not ready, no new
// tunnels, agents of ours are to move, every response says `Connection: close`.

/// What there is on a node that leaves.
public struct DrainCounts: Equatable, Sendable {
    /// Clients that have sent a first request so far, since ever. One that only connects asks for nothing, as a balancer's check does.
    public var arrivals: UInt64 = 0
    /// Client connections, between requests or not, and what came out of them.
    public var clients = 0
    /// Tunnels that are still selected: their agents have not moved.
    public var listed = 0
    /// Of these, tunnels whose agents looked for another node and came here again, `DrainPlan.refusals` times or more.
    public var stuck = 0
    /// Tunnels that have not closed.
    public var tunnels = 0
    /// Other nodes that are active.
    public var otherNodes = 0
    /// Somebody is in a hurry: a second signal.
    public var isUrged = false
    /// The other nodes have heard that this one leaves.
    public var hasLeft = false

    public init() {}
}

/// A step of leaving.
public enum DrainStep: Equatable, Sendable {
    /// Tunnels of agents that cannot be told are not selected any more; each is ended when its last stream has.
    case retireOriginals
    /// The proxy and the upstream port close.
    case stopListening
    /// The other nodes are told.
    case leave
    /// Tunnels end, and with them all that is left. The last step.
    case end
}

/// The order and the times of leaving. All of it takes the grace period at most. Times in milliseconds.
public struct DrainPlan: Sendable {
    private enum Phase { case listening, finishing, leaving, over }

    /// Ports stay open until nobody new has come for so long.
    public static let quiet: UInt64 = 1000
    /// An agent that has not moved by then does not find another node.
    public static let moves: UInt64 = 10_000
    /// An agent that has come here again so many times knows no other address, once balancers had so long to notice that this node leaves.
    public static let refusals = 8
    public static let noticed: UInt64 = 3_000
    /// For telling the others, at the end.
    public static let parting: UInt64 = 1000
    /// So many nodes are told by this one; the others hear it from them.
    public static let toldNodes = 3
    /// For the news to spread.
    public static let spreading: UInt64 = 400

    private let grace: UInt64
    private let began: UInt64
    private var phase = Phase.listening
    private var arrivals: UInt64
    private var lastArrival: UInt64
    private var hasRetired = false
    private var toldOthers: UInt64?

    /// - Parameter grace: within which the last step comes.
    public init(grace: UInt64, now: UInt64, arrivals: UInt64) {
        self.grace = grace
        began = now
        self.arrivals = arrivals
        lastArrival = now
    }

    /// What is due, in order. Ask at least every 50 ms and whenever something has ended, until `.end`; nothing after that.
    public mutating func look(at counts: DrainCounts, now: UInt64) -> [DrainStep] {
        guard phase != .over else { return [] }
        let age = now &- began
        var steps: [DrainStep] = []
        if counts.isUrged || age >= grace { return end(counts, now, steps) }
        if phase == .listening { listen(counts, now, age, &steps) }
        if phase == .finishing, isFinished(counts, age) || age >= grace - parting { depart(counts, now, &steps) }
        if phase == .leaving, counts.clients == 0, hasParted(counts, now) { return end(counts, now, steps) }
        return steps
    }

    private var quiet: UInt64 { min(Self.quiet, grace / 2) }
    private var parting: UInt64 { min(Self.parting, grace / 4) }

    private mutating func listen(_ counts: DrainCounts, _ now: UInt64, _ age: UInt64, _ steps: inout [DrainStep]) {
        if counts.arrivals != arrivals {
            arrivals = counts.arrivals
            lastArrival = now
        }
        let isAlone = counts.otherNodes == 0
        let isEmpty = isAlone && counts.clients == 0 && counts.tunnels == 0
        if !hasRetired, isEmpty || age >= quiet {
            hasRetired = true
            steps.append(.retireOriginals)
        }
        let isQuiet = age >= quiet && now &- lastArrival >= quiet && !awaitsMoves(counts, age)
        guard isEmpty || isQuiet || age >= grace / 2 else { return }
        phase = .finishing
        steps.append(.stopListening)
    }

    /// Others forward requests here as long as a tunnel is listed. Where there is no other node, agents have nowhere to go.
    private func awaitsMoves(_ counts: DrainCounts, _ age: UInt64) -> Bool {
        let movable = counts.listed - (age >= Self.noticed ? counts.stuck : 0)
        return counts.otherNodes > 0 && movable > 0 && age < min(Self.moves, grace / 2)
    }

    private func isFinished(_ counts: DrainCounts, _ age: UInt64) -> Bool {
        counts.clients == 0 && !awaitsMoves(counts, age)
    }

    private mutating func depart(_ counts: DrainCounts, _ now: UInt64, _ steps: inout [DrainStep]) {
        phase = .leaving
        toldOthers = now
        if counts.otherNodes > 0 { steps.append(.leave) }
    }

    private func hasParted(_ counts: DrainCounts, _ now: UInt64) -> Bool {
        let passed = now &- (toldOthers ?? now)
        if counts.otherNodes == 0 || passed >= parting { return true }
        return counts.hasLeft && (counts.otherNodes <= Self.toldNodes || passed >= Self.spreading)
    }

    /// At once, whatever has come before.
    private mutating func end(_ counts: DrainCounts, _ now: UInt64, _ before: [DrainStep]) -> [DrainStep] {
        var steps = before
        if phase == .listening { steps.append(.stopListening) }
        if toldOthers == nil, counts.otherNodes > 0 { steps.append(.leave) }
        phase = .over
        steps.append(.end)
        return steps
    }
}
