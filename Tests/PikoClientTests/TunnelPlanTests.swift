// SPDX-License-Identifier: MIT
// When an agent dials and which tunnel it lets go, decision by decision.
// No sockets; time and randomness are the tests' own.

import Testing

@testable import PikoClient

@Suite struct TunnelPlanTests {
    /// A plan with a clock. `random` is 1: waits are as long as they can be.
    private struct Script {
        var plan: TunnelPlan
        var now: UInt64 = 1_000_000
        var random = 1.0

        init(wanted: Int) { plan = TunnelPlan(wanted: wanted) }

        mutating func take(_ event: TunnelPlan.Event, after milliseconds: UInt64 = 0) -> [TunnelPlan.Directive] {
            now += milliseconds
            return plan.handle(event, now: now, random: random)
        }

        mutating func start() { #expect(take(.started) == [.dial]) }

        /// Opens a tunnel; what follows.
        mutating func connect(_ number: UInt32, _ node: String?, of nodes: Int, after milliseconds: UInt64 = 0) -> [TunnelPlan.Directive] {
            take(.connected(number, AnsweringNode(id: node, nodes: nodes)), after: milliseconds)
        }
    }

    /// Two tunnels that have served for a while, in a cluster of three.
    private func settled() -> Script {
        var script = Script(wanted: 2)
        script.start()
        #expect(script.connect(1, "a", of: 3) == [.wait(1000)])
        #expect(script.take(.due, after: 1000) == [.dial])
        #expect(script.connect(2, "b", of: 3) == [])
        script.now += 60_000
        return script
    }

    @Test("plan: with one tunnel wanted, one is all")
    func one() {
        var script = Script(wanted: 1)
        script.start()
        #expect(script.connect(1, "a", of: 3) == [])
        #expect(script.plan.servingCount == 1)
    }

    @Test("plan: a second tunnel is dialled where the cluster has a second node, naming the first")
    func second() {
        let script = settled()
        #expect(script.plan.servingCount == 2)
        #expect(script.plan.connectedNodes == ["a", "b"])
    }

    @Test("plan: against an original node one tunnel is enough, and nothing is looked for")
    func original() {
        var script = Script(wanted: 2)
        script.start()
        #expect(script.connect(1, nil, of: 1) == [])
        #expect(script.plan.connectedNodes == [])
    }

    @Test("plan: an original node counts as another than one that names itself")
    func mixed() {
        var script = Script(wanted: 2)
        script.start()
        #expect(script.connect(1, "a", of: 2) == [.wait(1000)])
        #expect(script.take(.due, after: 1000) == [.dial])
        #expect(script.connect(2, nil, of: 1) == [])
    }

    @Test("plan: a single node is asked again at growing intervals, seldom")
    func single() {
        var script = Script(wanted: 2)
        script.start()
        var waits: [UInt64] = []
        var directives = script.connect(1, "a", of: 1)
        for _ in 0..<6 {
            guard case .wait(let wait)? = directives.first else { break }
            waits.append(wait)
            #expect(script.take(.due, after: wait) == [.dial])
            directives = script.take(.alreadyConnected(AnsweringNode(id: "a", nodes: 1)))
        }
        #expect(waits == [15_000, 30_000, 60_000, 120_000, 120_000, 120_000])
        script.random = 0
        #expect(script.take(.due, after: 120_000) == [.dial])
        #expect(script.take(.failed) == [.wait(60_000)])  // no look is early
    }

    @Test("plan: a cluster that has grown is noticed at the next look")
    func grown() {
        var script = Script(wanted: 2)
        script.start()
        #expect(script.connect(1, "a", of: 1) == [.wait(15_000)])
        #expect(script.take(.due, after: 15_000) == [.dial])
        #expect(script.take(.alreadyConnected(AnsweringNode(id: "a", nodes: 3))) == [.wait(500)])
        #expect(script.take(.due, after: 500) == [.dial])
        #expect(script.connect(2, "c", of: 3) == [])
    }

    @Test("plan: where the balancer chooses the same node again, the next tries are soon; one that always does is not bothered for ever")
    func rotation() {
        var script = Script(wanted: 2)
        script.start()
        _ = script.connect(1, "a", of: 3)
        var waits: [UInt64] = []
        for _ in 0..<32 {
            #expect(script.take(.due, after: 60_000) == [.dial])
            guard case .wait(let wait)? = script.take(.alreadyConnected(AnsweringNode(id: "a", nodes: 3))).first else { continue }
            waits.append(wait)
        }
        #expect(waits[..<4] == [500, 1000, 2000, 4000])
        #expect(waits[4..<30].allSatisfy { $0 == 4000 })
        #expect(waits[30...] == [60_000, 60_000])
        #expect(script.take(.due, after: 60_000) == [.dial])
        #expect(script.take(.alreadyConnected(AnsweringNode(id: "a", nodes: 4))) == [.wait(500)])  // a node has come
    }

    @Test("plan: a lost only tunnel is dialled at once, again and again, at most 15 s apart")
    func lostOnly() {
        var script = Script(wanted: 1)
        script.start()
        _ = script.connect(1, "a", of: 1)
        #expect(script.take(.ended(1), after: 60_000) == [.wait(100)])
        var waits: [UInt64] = []
        for _ in 0..<9 {
            #expect(script.take(.due, after: 20_000) == [.dial])
            guard case .wait(let wait)? = script.take(.failed).first else { continue }
            waits.append(wait)
        }
        #expect(waits == [200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000])
    }

    @Test("plan: full jitter reaches down to no wait at all")
    func jitter() {
        var script = Script(wanted: 1)
        script.random = 0
        script.start()
        _ = script.connect(1, "a", of: 1)
        #expect(script.take(.ended(1), after: 60_000) == [.wait(0)])
    }

    @Test("plan: a tunnel that is lost as soon as it is open is one more failure")
    func flapping() {
        var script = Script(wanted: 1)
        script.start()
        var waits: [UInt64] = []
        for number in UInt32(1)...6 {
            #expect(script.connect(number, "a", of: 1) == [])
            guard case .wait(let wait)? = script.take(.ended(number), after: 10).first else { continue }
            waits.append(wait)
            #expect(script.take(.due, after: wait) == [.dial])
        }
        #expect(waits == [100, 200, 400, 800, 1600, 3200])
    }

    @Test("plan: while another tunnel serves, a lost one is dialled again within a second's jitter")
    func lostOne() {
        var script = settled()
        #expect(script.take(.ended(1)) == [.wait(1000)])
        #expect(script.plan.connectedNodes == ["b"])
        #expect(script.take(.due, after: 1000) == [.dial])
        #expect(script.connect(3, "c", of: 2) == [])
    }

    @Test("plan: the loss of the last tunnel does not wait for what was calm before")
    func lostBoth() {
        var script = settled()
        #expect(script.take(.ended(1)) == [.wait(1000)])
        #expect(script.take(.ended(2), after: 10) == [.wait(100)])
        #expect(script.take(.due, after: 100) == [.dial])
    }

    @Test("plan: a tunnel that was told to go is let go once another is open, not before")
    func moves() {
        var script = Script(wanted: 1)
        script.start()
        _ = script.connect(1, "a", of: 3)
        #expect(script.take(.toldToGo(1, nodeLeaves: true), after: 60_000) == [.wait(100)])
        #expect(script.take(.toldToGo(1, nodeLeaves: true)) == [])  // twice is once
        #expect(script.take(.due, after: 100) == [.dial])
        #expect(script.plan.connectedNodes == ["a"])
        #expect(script.connect(2, "b", of: 3) == [.wait(1000)])  // until the cluster has heard of it
        #expect(script.take(.due, after: 1000) == [.letGo(1)])
        #expect(script.plan.connectedNodes == ["a", "b"])  // its streams go on: no second tunnel goes there
        #expect(script.take(.ended(1), after: 5000) == [])
        #expect(script.plan.servingCount == 1)
    }

    @Test("plan: while nothing else serves, tries are quick for ten seconds, then no quicker than ever")
    func hurry() {
        var script = Script(wanted: 1)
        script.start()
        _ = script.connect(1, "a", of: 3)
        var waits = [script.take(.toldToGo(1, nodeLeaves: true), after: 60_000)]
        for _ in 0..<9 {
            #expect(script.take(.due, after: 500) == [.dial])
            waits.append(script.take(.failed))
        }
        #expect(waits[..<3] == [[.wait(100)], [.wait(200)], [.wait(400)]])
        #expect(waits[3...].allSatisfy { $0 == [.wait(500)] })
        #expect(script.take(.due, after: 10_000) == [.dial])
        #expect(script.take(.failed) == [.wait(15_000)])
    }

    @Test("plan: told to go by one of two, it moves calmly and lets that one go")
    func movesOne() {
        var script = settled()
        #expect(script.take(.toldToGo(2, nodeLeaves: true)) == [.wait(1000)])
        #expect(script.take(.due, after: 1000) == [.dial, .wait(2000)])  // then it goes, replaced or not
        #expect(script.take(.alreadyConnected(AnsweringNode(id: "a", nodes: 3))) == [.wait(500)])
        #expect(script.take(.due, after: 500) == [.dial, .wait(1500)])
        #expect(script.connect(3, "c", of: 3) == [.wait(1000)])
        #expect(script.take(.due, after: 1000) == [.letGo(2)])
    }

    /// Two tunnels that have served for a while, in a cluster of two.
    private func pair() -> Script {
        var script = Script(wanted: 2)
        script.start()
        _ = script.connect(1, "a", of: 2)
        _ = script.take(.due, after: 1000)
        _ = script.connect(2, "b", of: 2)
        script.now += 60_000
        return script
    }

    @Test("plan: of two nodes the leaving one is let go at once, for there is none to move to")
    func noReplacement() {
        var script = pair()
        #expect(script.take(.toldToGo(1, nodeLeaves: true)) == [.letGo(1), .wait(15_000)])
        #expect(script.take(.ended(1), after: 2000) == [.wait(1000)])  // it may be back
        #expect(script.take(.due, after: 1000) == [.dial])
        #expect(script.take(.alreadyConnected(AnsweringNode(id: "b", nodes: 1))) == [.wait(30_000)])
    }

    @Test("plan: a node that only has too many keeps what has no other node to go to")
    func staysWhereNobodyElseIs() {
        var script = pair()
        #expect(script.take(.toldToGo(1, nodeLeaves: false)) == [.wait(1000)])
        #expect(script.take(.due, after: 1000) == [.dial])
        #expect(script.take(.alreadyConnected(AnsweringNode(id: "b", nodes: 2)), after: 60_000) == [.wait(500)])
        #expect(script.plan.connectedNodes == ["a", "b"])
    }

    @Test("plan: a leaving tunnel that cannot be replaced is let go after three seconds, where another serves")
    func noReplacementFound() {
        var script = settled()
        #expect(script.take(.toldToGo(1, nodeLeaves: true)) == [.wait(1000)])
        #expect(script.take(.due, after: 1000) == [.dial, .wait(2000)])
        #expect(script.take(.alreadyConnected(AnsweringNode(id: "b", nodes: 3)), after: 1500) == [])
        #expect(script.take(.due, after: 500).first == .letGo(1))
    }

    @Test("plan: while the only node leaves, it is asked seldom; once it is gone, often")
    func lone() {
        var script = Script(wanted: 1)
        script.start()
        _ = script.connect(1, "a", of: 1)
        var waits = [script.take(.toldToGo(1, nodeLeaves: true), after: 60_000)]
        for _ in 0..<6 {
            guard case .wait(let wait)? = waits.last?.first else { break }
            #expect(script.take(.due, after: wait) == [.dial])
            waits.append(script.take(.failed))
        }
        #expect(waits == [100, 200, 400, 800, 1600, 3200, 4000].map { [.wait($0)] })
        #expect(script.take(.ended(1)) == [.wait(500)])
    }

    @Test("plan: all told to go at once are let go one for each that is opened")
    func movesAll() {
        var script = settled()
        #expect(script.take(.toldToGo(1, nodeLeaves: true)) == [.wait(1000)])
        #expect(script.take(.toldToGo(2, nodeLeaves: true)) == [.wait(100)])  // nothing else serves now
        #expect(script.take(.due, after: 100) == [.dial])
        #expect(script.connect(3, "c", of: 4) == [.wait(1000)])
        #expect(script.take(.due, after: 1000) == [.letGo(1), .dial, .wait(1900)])
        #expect(script.connect(4, "d", of: 4, after: 10) == [.wait(1000)])
        #expect(script.take(.ended(1), after: 400) == [])
        #expect(script.take(.due, after: 600) == [.letGo(2)])
    }

    @Test("plan: a replacement that is lost before it has settled is none")
    func unsettled() {
        var script = Script(wanted: 1)
        script.start()
        _ = script.connect(1, "a", of: 3)
        _ = script.take(.toldToGo(1, nodeLeaves: true), after: 60_000)
        _ = script.take(.due, after: 100)
        #expect(script.connect(2, "b", of: 3) == [.wait(1000)])
        #expect(script.take(.ended(2), after: 500) == [.wait(200)])
        #expect(script.take(.due, after: 200) == [.dial])
        #expect(script.connect(3, "c", of: 3) == [.wait(1000)])
        #expect(script.take(.due, after: 1000) == [.letGo(1)])
    }

    @Test("plan: a leaving tunnel that dies first changes nothing")
    func leavingDies() {
        var script = settled()
        #expect(script.take(.toldToGo(1, nodeLeaves: true)) == [.wait(1000)])
        #expect(script.take(.ended(1), after: 10) == [])
        #expect(script.take(.due, after: 990) == [.dial])
        #expect(script.connect(3, "c", of: 3) == [])
    }

    @Test("plan: one dial at a time, whatever happens meanwhile")
    func oneDial() {
        var script = settled()
        #expect(script.take(.ended(1)) == [.wait(1000)])
        #expect(script.take(.due, after: 1000) == [.dial])
        #expect(script.take(.ended(2)) == [])
        #expect(script.take(.due) == [])
        guard case .wait? = script.take(.failed).first else { Issue.record("no next try"); return }
    }

    @Test("plan: five thousand agents that lose a node together come back spread over a second, or over 100 ms where it was all they had")
    func storm() {
        var generator = SystemRandomNumberGenerator()
        for (nodes, most) in [(1, UInt64(100)), (3, 1000)] {
            var waits: [UInt64] = []
            for _ in 0..<5000 {
                var script = Script(wanted: min(2, nodes))
                script.start()
                _ = script.connect(1, "a", of: nodes)
                if nodes > 1 {
                    _ = script.take(.due, after: 1000)
                    _ = script.connect(2, "b", of: nodes)
                }
                script.random = Double.random(in: 0...1, using: &generator)
                guard case .wait(let wait)? = script.take(.ended(1), after: 60_000).first else { continue }
                waits.append(wait)
            }
            #expect(waits.count == 5000 && waits.allSatisfy { $0 <= most })
            for tenth in 0..<10 {
                let range = most / 10 * UInt64(tenth)..<most / 10 * UInt64(tenth + 1)
                #expect(waits.count { range.contains($0) } > 350, "\(range)")
            }
        }
    }
}
