// SPDX-License-Identifier: MIT
// When an agent dials, and which tunnel it lets go: as many tunnels to different nodes as are wanted and the cluster has, a lost one dialled
// again for ever, one that was told to go replaced before it is let go (docs/architecture.md, "An agent's tunnels").
// A value: events in, directives out; clock and randomness are passed in. No sockets.

/// The tunnels of one listener. Give it every event in order; carry out what it says in order.
///
/// One dial at a time and one timer. Times are milliseconds of one monotonic clock.
struct TunnelPlan: Sendable {
    enum Event: Equatable {
        case started
        /// The dial opened a tunnel, which has this number from now on.
        case connected(UInt32, AnsweringNode)
        /// The dial was refused because its balancer chose a node that has a tunnel already.
        case alreadyConnected(AnsweringNode)
        case failed
        /// The node asked for the tunnel to be moved elsewhere.
        case toldToGo(UInt32, nodeLeaves: Bool)
        /// The tunnel is gone, whoever ended it.
        case ended(UInt32)
        /// The wait is over.
        case due
    }

    enum Directive: Equatable {
        case dial
        /// So many milliseconds, then `due`; in place of any wait before.
        case wait(UInt64)
        /// No wait any more.
        case rest
        /// The tunnel takes no new streams and ends behind its last one.
        case letGo(UInt32)
    }

    private enum State { case serving, leaving, released }

    private struct Tunnel {
        let number: UInt32
        let node: String?
        let since: UInt64
        var state = State.serving
        var nodeLeaves = false
        var toldAt: UInt64 = 0
    }

    private enum Need { case none, tunnel, look }

    /// While nothing serves and a node was told to be leaving: its balancer may send a few dials there yet.
    static let hurryCeiling: UInt64 = 500
    static let hurry: UInt64 = 10_000
    /// While the one node that there is leaves, and has not gone: nobody else can take us.
    static let loneCeiling: UInt64 = 4000
    /// While another tunnel serves there is time, and thousands of agents may have lost theirs at once.
    static let calmCeiling: UInt64 = 1000
    /// A node that has us already: balancers rotate, so the next dial may well reach another. One that has sent us to the same node so many
    /// times over always will.
    static let rotationFloor: UInt64 = 500
    static let rotationCeiling: UInt64 = 4000
    static let rotations = 30
    static let stickyCeiling: UInt64 = 60_000
    /// Between looks whether the cluster has grown.
    static let firstLook: UInt64 = 15_000
    static let longestLook: UInt64 = 120_000
    /// A tunnel that was lost sooner is one more failure.
    static let provenAfter: UInt64 = 1000
    /// A tunnel takes the place of another when it has served so long: the other nodes hear of it by gossip.
    static let settledAfter: UInt64 = 1000
    /// A node that leaves waits so long for a tunnel to be replaced, where another serves already.
    static let replacedWithin: UInt64 = 3000

    private let wanted: Int
    private var tunnels: [Tunnel] = []
    /// As the last node that answered knows its cluster.
    private var nodes = 1
    private var backoff = Backoff()
    private var rotated = 0
    private var lookLimit = TunnelPlan.firstLook
    private var hurriesUntil: UInt64 = 0
    private var isDialling = false
    private var dialAt: UInt64?
    /// When the next tunnel has settled, while one waits to be let go.
    private var settlesAt: UInt64?
    /// What the timer is set to.
    private var armedAt: UInt64?

    /// - Parameter wanted: tunnels to different nodes, at least 1.
    init(wanted: Int) { self.wanted = max(wanted, 1) }

    /// What to do about an event.
    /// - Parameter random: 0 to 1.
    mutating func handle(_ event: Event, now: UInt64, random: Double) -> [Directive] {
        switch event {
        case .started: dialAt = now
        case .due: armedAt = nil
        case .connected(let number, let node): connected(Tunnel(number: number, node: node.id, since: now), node)
        case .alreadyConnected(let node):
            isDialling = false
            if node.nodes > nodes { rotated = 0 }
            nodes = node.nodes
        case .failed: isDialling = false
        case .toldToGo(let number, let nodeLeaves): toldToGo(number, nodeLeaves, now)
        case .ended(let number): ended(number, now)
        }
        var directives = releases(now)
        if event == .started || event == .due { directives += dial(now) } else { chooseDial(after: event, now, random) }
        return directives + arm(now)
    }

    /// The nodes that have a tunnel, whatever becomes of it: a dial tells them, so that no second one goes there.
    var connectedNodes: [String] { tunnels.compactMap(\.node) }

    /// Tunnels that serve and are to go on.
    var servingCount: Int { count(.serving) }

    private func count(_ state: State) -> Int { tunnels.reduce(0) { $0 + ($1.state == state ? 1 : 0) } }

    // MARK: What an event changes

    private mutating func connected(_ tunnel: Tunnel, _ node: AnsweringNode) {
        isDialling = false
        tunnels.append(tunnel)
        if node.id != nil { nodes = node.nodes }
        rotated = 0
        lookLimit = Self.firstLook
    }

    private mutating func toldToGo(_ number: UInt32, _ nodeLeaves: Bool, _ now: UInt64) {
        guard let index = tunnels.firstIndex(where: { $0.number == number }), tunnels[index].state == .serving else { return }
        tunnels[index].state = .leaving
        tunnels[index].nodeLeaves = nodeLeaves
        tunnels[index].toldAt = now
        hurriesUntil = now &+ Self.hurry
        prove(tunnels[index], now)
    }

    private mutating func ended(_ number: UInt32, _ now: UInt64) {
        guard let index = tunnels.firstIndex(where: { $0.number == number }) else { return }
        if tunnels[index].state == .serving { prove(tunnels[index], now) }
        tunnels.remove(at: index)
    }

    private mutating func prove(_ tunnel: Tunnel, _ now: UInt64) {
        if now &- tunnel.since >= Self.provenAfter { backoff.reset() }
    }

    // MARK: What follows

    /// An original node names neither itself nor its cluster: one tunnel is all that makes sense.
    private var knowsOriginalsOnly: Bool { tunnels.allSatisfy { $0.state != .serving || $0.node == nil } }

    /// A node that leaves is none to go to.
    private var goal: Int {
        if servingCount > 0 && knowsOriginalsOnly { return 1 }
        return min(wanted, max(nodes - tunnels.count { $0.nodeLeaves }, 1))
    }

    private var need: Need {
        let serving = servingCount
        if serving < goal { return .tunnel }
        return serving < wanted && !knowsOriginalsOnly ? .look : .none
    }

    /// One that was told to go is let go for each that serves, and has settled, beyond what the others are there for; that of a node that leaves
    /// after a while also when it could not be replaced.
    private mutating func releases(_ now: UInt64) -> [Directive] {
        let serving = tunnels.filter { $0.state == .serving }
        let unsettled = serving.filter { now &- $0.since < Self.settledAfter }
        var surplus = serving.count - unsettled.count + count(.leaving) - goal
        defer { settlesAt = nextRelease(unsettled, after: now) }
        guard serving.count > unsettled.count else { return [] }
        var directives: [Directive] = []
        for index in tunnels.indices where tunnels[index].state == .leaving {
            guard surplus > 0 || isOverdue(tunnels[index], now) else { continue }
            tunnels[index].state = .released
            surplus -= 1
            directives.append(.letGo(tunnels[index].number))
        }
        return directives
    }

    private func isOverdue(_ tunnel: Tunnel, _ now: UInt64) -> Bool {
        tunnel.nodeLeaves && now &- tunnel.toldAt >= Self.replacedWithin
    }

    /// When another tunnel may be let go; nil: not by time alone.
    private func nextRelease(_ unsettled: [Tunnel], after now: UInt64) -> UInt64? {
        let leaving = tunnels.filter { $0.state == .leaving }
        guard !leaving.isEmpty, servingCount > 0 else { return nil }
        let overdue = leaving.filter(\.nodeLeaves).map { $0.toldAt &+ Self.replacedWithin }
        return (unsettled.map { $0.since &+ Self.settledAfter } + overdue).filter { $0 > now }.min()
    }

    private mutating func chooseDial(after event: Event, _ now: UInt64, _ random: Double) {
        if isDialling { return }
        switch need {
        case .none: dialAt = nil
        case .look: dialAt = dialAt ?? now &+ look(random)
        case .tunnel: dialAt = min(dialAt ?? .max, now &+ delay(after: event, now, random))
        }
    }

    private mutating func dial(_ now: UInt64) -> [Directive] {
        guard let due = dialAt, due <= now else { return [] }
        dialAt = nil
        guard !isDialling, need != .none else { return [] }
        isDialling = true
        return [.dial]
    }

    private mutating func arm(_ now: UInt64) -> [Directive] {
        let next = dialAt.map { min($0, settlesAt ?? .max) } ?? settlesAt
        if next == armedAt { return [] }
        armedAt = next
        return [next.map { .wait($0 > now ? $0 - now : 0) } ?? .rest]
    }

    private mutating func look(_ random: Double) -> UInt64 {
        defer { lookLimit = min(lookLimit * 2, Self.longestLook) }
        return lookLimit / 2 + UInt64(Double(lookLimit / 2) * random)
    }

    private mutating func delay(after event: Event, _ now: UInt64, _ random: Double) -> UInt64 {
        let isUrgent = servingCount == 0
        if case .alreadyConnected = event, !isUrgent { return rotate(random) }
        let most = isUrgent && now < hurriesUntil ? hurryCeiling : Backoff.ceiling
        return backoff.next(random, atLeast: isUrgent ? Backoff.floor : Self.calmCeiling, atMost: most)
    }

    private var hurryCeiling: UInt64 { nodes <= 1 && count(.leaving) > 0 ? Self.loneCeiling : Self.hurryCeiling }

    private mutating func rotate(_ random: Double) -> UInt64 {
        let isSticky = rotated >= Self.rotations
        let ceiling = isSticky ? Self.stickyCeiling : min(Self.rotationFloor << min(rotated, 8), Self.rotationCeiling)
        rotated = min(rotated + 1, Self.rotations)
        return UInt64(Double(ceiling) * random)
    }
}
