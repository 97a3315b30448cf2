// SPDX-License-Identifier: MIT
// How many tunnels a node with too many tells to move.
// The value alone, second by second.

import PikoCore
import Testing

@Suite struct RebalanceTests {
    private static func rebalance(_ threshold: Double, rate: Double = 0.005, least: Int = 50) -> Rebalance {
        var configuration = RebalanceConfiguration()
        configuration.threshold = threshold
        configuration.shedRate = rate
        configuration.minConns = least
        return Rebalance(configuration)
    }

    @Test("rebalance: threshold 0 never sheds")
    func off() {
        var rebalance = Self.rebalance(0, rate: 1)
        #expect(rebalance.tick(own: 100_000, others: [0]) == 0)
    }

    @Test("rebalance: a node alone never sheds")
    func alone() {
        var rebalance = Self.rebalance(0.2, rate: 1)
        #expect(rebalance.tick(own: 1000, others: []) == 0)
    }

    @Test("rebalance: only above average × (1 + threshold), and from min_conns on")
    func bounds() {
        var rebalance = Self.rebalance(0.5, rate: 1, least: 50)
        #expect(rebalance.tick(own: 150, others: [50]) == 0)  // exactly at the threshold
        #expect(rebalance.tick(own: 151, others: [50]) == 50)  // down to the average, no further
        #expect(rebalance.tick(own: 49, others: [0]) == 0)
        #expect(rebalance.tick(own: 50, others: [0]) == 25)
        #expect(rebalance.tick(own: 0, others: [0, 0]) == 0)
    }

    @Test("rebalance: sheds its share of the average each second, fractions carried over")
    func rate() {
        var rebalance = Self.rebalance(0.2, rate: 0.005)
        // Average 500: 2.5 a second.
        var own = 1000
        var others = 0
        for _ in 0..<10 {
            let count = rebalance.tick(own: own, others: [others])
            #expect(count == 2 || count == 3)
            own -= count
            others += count
        }
        #expect(own == 975)
    }

    @Test("rebalance: a low rate still sheds, one tunnel in several seconds")
    func slow() {
        var rebalance = Self.rebalance(0.2, rate: 0.005)
        let counts = (0..<16).map { _ in rebalance.tick(own: 100, others: [0]) }  // 0.25 a second
        #expect(counts.reduce(0, +) == 4)
        #expect(counts.max() == 1)
    }

    @Test("rebalance: what was allowed while there was little to shed does not gather")
    func noBurst() {
        var rebalance = Self.rebalance(0.001, rate: 1, least: 1)
        for _ in 0..<100 { #expect(rebalance.tick(own: 102, others: [100]) == 1) }
        #expect(rebalance.tick(own: 400, others: [100]) <= 251)
        #expect(rebalance.tick(own: 250, others: [250]) == 0)
    }

    @Test("rebalance: two nodes even out and stay so, whatever the rate", arguments: [0.005, 0.1, 1.0])
    func convergence(rate: Double) {
        var rebalances = [Self.rebalance(0.1, rate: rate, least: 1), Self.rebalance(0.1, rate: rate, least: 1)]
        var counts = [900, 100]
        var last = 0
        for second in 0..<600 {
            for index in 0..<2 {
                let moved = rebalances[index].tick(own: counts[index], others: [counts[1 - index]])
                counts[index] -= moved
                counts[1 - index] += moved
                if moved > 0 { last = second }
            }
        }
        #expect(counts[0] >= 500 && counts[0] <= 550)
        #expect(last < 400)
    }

    @Test("rebalance: tunnels that are about to go count for the average, not for the node")
    func going() {
        var rebalance = Self.rebalance(0.2, rate: 1, least: 1)
        #expect(rebalance.tick(own: 8, others: [0]) == 4)
        for _ in 0..<5 { #expect(rebalance.tick(own: 4, going: 4, others: [0]) == 0) }  // slow agents
        for moved in 0...4 { #expect(rebalance.tick(own: 4, going: 4 - moved, others: [moved]) == 0) }
    }

    @Test("rebalance: lies of other nodes are no trap")
    func lies() {
        var rebalance = Self.rebalance(0.1, rate: 1, least: 0)
        #expect(rebalance.tick(own: 100, others: [.max, .max]) == 0)
        #expect(rebalance.tick(own: 100, others: [.min, -1]) <= 100)
    }
}
