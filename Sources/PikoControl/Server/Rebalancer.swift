// SPDX-License-Identifier: MIT
// Sheds tunnels of a node that has more than its share: counts once a second, asks the Rebalance value, and tells the loops. Control loop
// only; the loops choose which tunnels.

import PikoCore
import PikoEngine

/// Rebalances a node. Loop-confined.
final class Rebalancer {
    private static let interval: UInt64 = 1000

    private let node: ServerNode
    private let loop: EventLoop
    private let log: Log
    private var rebalance: Rebalance
    private var timer: Timer?

    init(_ node: ServerNode, on loop: EventLoop) {
        self.node = node
        self.loop = loop
        log = node.log.named("upstream")
        let configuration = node.configuration.upstream.rebalance
        rebalance = Rebalance(configuration)
        configure(configuration)
    }

    /// Goes on by these rules; a threshold of 0 rests.
    func configure(_ configuration: RebalanceConfiguration) {
        rebalance.configure(configuration)
        guard configuration.threshold > 0 else { return timer = nil }
        if timer == nil { timer = Timer(on: loop) { [unowned self] in tick() } }
        if timer?.isArmed == false { timer?.arm(Self.interval) }
    }

    private func tick() {
        timer?.arm(Self.interval)
        guard node.isReady.load(ordering: .relaxed) else { return }
        Gathering.start(from: node.loops, to: loop) { ($0.index, $0.settledCount, $0.tunnels.count) } completion: { [weak self] parts in
            var settled = Array(repeating: 0, count: parts.count)
            for (index, count, _) in parts { settled[index] = count }
            self?.shed(from: settled, of: parts.reduce(0) { $0 + $1.2 })
        }
    }

    /// - Parameters:
    ///   - counts: the tunnels of each loop that could move.
    ///   - all: all that there are.
    private func shed(from counts: [Int], of all: Int) {
        let own = counts.reduce(0, +)
        let others = node.otherNodes.map(\.upstreamCount)
        let count = rebalance.tick(own: own, going: all - own, others: others)
        guard count > 0 else { return }
        log.info("shedding upstreams") {
            $0.add("count", count)
            $0.add("upstreams", own)
            $0.add("other_nodes", others.count)
        }
        for (index, part) in Self.parts(of: count, among: counts).enumerated() where part > 0 {
            node.loops.members[index].post { $0.shed(part) }
        }
    }

    /// How many each loop sheds: one by one, from whichever has most.
    static func parts(of count: Int, among counts: [Int]) -> [Int] {
        var left = counts
        for _ in 0..<count {
            guard let most = left.indices.max(by: { left[$0] < left[$1] }), left[most] > 0 else { break }
            left[most] -= 1
        }
        return zip(counts, left).map { $0 - $1 }
    }
}
