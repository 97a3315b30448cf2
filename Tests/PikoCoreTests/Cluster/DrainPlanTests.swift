// SPDX-License-Identifier: MIT
// The order and the times of a node's leaving.
// The value alone: a node is a few counts, time passes in steps of 10 ms.

import PikoCore
import Testing

@Suite struct DrainPlanTests {
    /// A node that leaves, and when each step came, in milliseconds since the beginning.
    private struct Node {
        var plan: DrainPlan
        var counts: DrainCounts
        var now: UInt64 = 5_000
        var steps: [(step: DrainStep, at: UInt64)] = []

        init(grace: UInt64 = 60_000, _ counts: DrainCounts) {
            self.counts = counts
            plan = DrainPlan(grace: grace, now: 5_000, arrivals: counts.arrivals)
        }

        /// Time passes until the last step or `limit`. `change` happens before each look, with the time since the beginning.
        mutating func run(until limit: UInt64 = 120_000, _ change: (inout DrainCounts, UInt64) -> Void = { _, _ in }) {
            while now - 5_000 <= limit, steps.last?.step != .end {
                change(&counts, now - 5_000)
                for step in plan.look(at: counts, now: now) { steps.append((step, now - 5_000)) }
                now += 10
            }
        }

        func time(of step: DrainStep) -> UInt64? { steps.first { $0.step == step }?.at }
        var order: [DrainStep] { steps.map(\.step) }
    }

    private static func counts(clients: Int = 0, listed: Int = 0, others: Int = 0) -> DrainCounts {
        var counts = DrainCounts()
        counts.arrivals = 77
        counts.clients = clients
        counts.listed = listed
        counts.tunnels = listed
        counts.otherNodes = others
        return counts
    }

    @Test("drain: a node alone with nothing on it ends at once")
    func empty() {
        var node = Node(Self.counts())
        node.run()
        #expect(node.order == [.retireOriginals, .stopListening, .end])
        #expect(node.time(of: .end) == 0)
    }

    @Test("drain: the ports stay open for a second even where there are tunnels only")
    func tunnelsOnly() {
        var node = Node(Self.counts(listed: 3))
        node.run()
        #expect(node.time(of: .stopListening) == 1000)
        #expect(node.time(of: .end) == 1000)  // no other node: nobody moves, nobody is told
        #expect(!node.order.contains(.leave))
    }

    @Test("drain: an empty node of a cluster waits for the balancer and tells the others")
    func clusterEmpty() {
        var node = Node(Self.counts(others: 2))
        node.run { counts, time in counts.hasLeft = time >= 1200 }
        #expect(node.order == [.retireOriginals, .stopListening, .leave, .end])
        #expect(node.time(of: .leave) == 1000)
        #expect(node.time(of: .end) == 1200)
    }

    @Test("drain: the ports stay open while new clients come, to half the grace period")
    func arrivals() {
        var node = Node(Self.counts(clients: 1, listed: 1))
        node.run { counts, time in if time <= 3000 { counts.arrivals += 1 } else { counts.clients = 0 } }
        #expect(node.time(of: .stopListening) == 4000)
        #expect(node.time(of: .end) == 4000)
        var stubborn = Node(grace: 20_000, Self.counts(clients: 1))
        stubborn.run { counts, _ in counts.arrivals += 1 }
        #expect(stubborn.time(of: .stopListening) == 10_000)
    }

    @Test("drain: the ports stay open until the agents have moved, 10 s at most")
    func moves() {
        var node = Node(Self.counts(listed: 4, others: 1))
        node.run { counts, time in
            counts.hasLeft = true
            if time == 2500 { counts.listed = 0 }
        }
        #expect(node.time(of: .retireOriginals) == 1000)
        #expect(node.time(of: .stopListening) == 2500)
        var stuck = Node(Self.counts(listed: 4, others: 1))
        stuck.run { counts, _ in counts.hasLeft = true }
        #expect(stuck.time(of: .stopListening) == 10_000)
        #expect(stuck.time(of: .end) == 10_000)
    }

    @Test("drain: agents that come here again and again are waited for no longer than balancers take to notice")
    func comeAgain() {
        var node = Node(Self.counts(listed: 4, others: 1))
        node.run { counts, time in
            counts.hasLeft = true
            if time >= 1500 { counts.stuck = 4 }
        }
        #expect(node.time(of: .stopListening) == 3000)
        var some = Node(Self.counts(listed: 4, others: 1))
        some.run { counts, time in
            counts.hasLeft = true
            counts.stuck = 3
            if time >= 5000 { counts.listed = 3 }
        }
        #expect(some.time(of: .stopListening) == 5000)
    }

    @Test("drain: in a cluster of more nodes than are told, the news has time to spread before the end")
    func spreads() {
        for (others, end) in [(1, UInt64(1000)), (3, 1000), (4, 1400), (9, 1400)] {
            var node = Node(Self.counts(others: others))
            node.run { counts, _ in counts.hasLeft = true }
            #expect(node.time(of: .leave) == 1000)
            #expect(node.time(of: .end) == end, "\(others)")
        }
    }

    @Test("drain: what runs finishes before the others are told and the tunnels end")
    func running() {
        var node = Node(Self.counts(clients: 5, listed: 1, others: 1))
        node.run { counts, time in
            if time >= 20 { counts.listed = 0 }
            if time == 7000 { counts.clients = 0 }
            counts.hasLeft = time >= 7100
        }
        #expect(node.time(of: .stopListening) == 1000)
        #expect(node.time(of: .leave) == 7000)
        #expect(node.time(of: .end) == 7100)
    }

    @Test("drain: others that do not confirm are waited for, a second at most")
    func deafOthers() {
        var node = Node(Self.counts(others: 1))
        node.run()
        #expect(node.time(of: .end) == 2000)
    }

    @Test("drain: what never ends is cut when the grace period is over, and the others know before")
    func endless() {
        var node = Node(grace: 30_000, Self.counts(clients: 1, others: 1))
        node.run { counts, time in counts.hasLeft = time >= 29_100 }
        #expect(node.time(of: .leave) == 29_000)
        #expect(node.time(of: .end) == 30_000)
    }

    @Test("drain: a client that ends after the others were told does not wait for the end")
    func late() {
        var node = Node(grace: 30_000, Self.counts(clients: 1, others: 1))
        node.run { counts, time in
            counts.hasLeft = time >= 29_100
            if time >= 29_500 { counts.clients = 0 }
        }
        #expect(node.time(of: .end) == 29_500)
    }

    @Test("drain: a second signal ends it at once, in order", arguments: [UInt64(0), 500, 3000, 29_500])
    func urged(at time: UInt64) {
        var node = Node(grace: 30_000, Self.counts(clients: 1, listed: 1, others: 1))
        node.run { counts, now in counts.isUrged = now >= time }
        #expect(node.time(of: .end) == time)
        #expect(node.order.filter { $0 == .leave }.count == 1)
        #expect(node.order.filter { $0 == .stopListening }.count == 1)
    }

    @Test("drain: every step comes once, in order, within the grace period", arguments: [UInt64(0), 1, 100, 1000, 2000, 5000, 60_000])
    func short(grace: UInt64) {
        for (clients, others) in [(0, 0), (0, 2), (3, 0), (3, 2)] {
            var node = Node(grace: grace, Self.counts(clients: clients, listed: 2, others: others))
            node.run { counts, _ in counts.arrivals += 1 }
            let end = node.time(of: .end)
            #expect(end != nil && end! < grace + 10)
            let expected: [DrainStep] = [.retireOriginals, .stopListening, .leave, .end]
            let order = node.order.filter { $0 != .retireOriginals }
            #expect(order == expected.dropFirst().filter { others > 0 || $0 != .leave })
            #expect(node.plan.look(at: node.counts, now: node.now).isEmpty)
        }
    }
}
