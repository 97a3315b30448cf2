// SPDX-License-Identifier: MIT
// Which nodes of a test cluster start and stop.
// The value alone: time is a number.

import PikoCore
import Testing

@Suite struct LocalClusterPlanTests {
    /// A plan that expectations may change.
    private final class Cluster {
        var plan: LocalClusterPlan

        init(nodes: Int, churn: UInt64 = 0) { plan = LocalClusterPlan(nodes: nodes, churn: churn, grace: 5_000, now: 0) }

        func tick(now: UInt64) -> [LocalClusterStep] { plan.tick(now: now) }
        @discardableResult
        func ended(_ number: Int, now: UInt64) -> Bool { plan.ended(number, now: now) }
        func setReady(_ number: Int, _ isReady: Bool) { plan.setReady(number, isReady) }
        var serving: [Int] { plan.serving }
    }

    /// Three nodes, all ready.
    private func three(churn: UInt64 = 0) -> Cluster {
        let cluster = Cluster(nodes: 3, churn: churn)
        _ = cluster.tick(now: 0)
        for number in 1...3 { cluster.setReady(number, true) }
        return cluster
    }

    @Test("start: all nodes at once, each serves once it is ready")
    func start() {
        let cluster = Cluster(nodes: 3)
        #expect(cluster.tick(now: 0) == [.start(1), .start(2), .start(3)])
        #expect(cluster.tick(now: 200) == [] && cluster.serving == [])
        cluster.setReady(3, true)
        cluster.setReady(1, true)
        #expect(cluster.serving == [1, 3])
        cluster.setReady(1, false)
        #expect(cluster.serving == [3])
    }

    @Test("a node that ends by itself is replaced, after a pause")
    func ends() {
        let cluster = three()
        #expect(!cluster.ended(2, now: 1_000))
        #expect(cluster.tick(now: 1_999) == [] && cluster.serving == [1, 3])
        #expect(cluster.tick(now: 2_000) == [.start(4)])
    }

    @Test("configure: more nodes are started, surplus ones are stopped, the oldest first")
    func configure() {
        let cluster = three()
        cluster.plan.configure(nodes: 5, churn: 0, now: 0)
        #expect(cluster.tick(now: 0) == [.start(4), .start(5)])
        cluster.plan.configure(nodes: 2, churn: 0, now: 0)
        #expect(cluster.tick(now: 0) == [.stop(1), .stop(2), .stop(3)])
        #expect(cluster.serving == [])
        #expect(cluster.ended(1, now: 0))
        #expect(cluster.tick(now: 100) == [])
    }

    @Test("churn: the successor is ready before the oldest stops")
    func churn() {
        let cluster = three(churn: 10_000)
        #expect(cluster.tick(now: 9_999) == [])
        #expect(cluster.tick(now: 10_000) == [.start(4)])
        #expect(cluster.serving == [1, 2, 3])
        #expect(cluster.tick(now: 10_200) == [])
        cluster.setReady(4, true)
        #expect(cluster.tick(now: 10_400) == [.stop(1)])
        #expect(cluster.serving == [2, 3, 4])
        cluster.ended(1, now: 11_000)
        #expect(cluster.tick(now: 20_000) == [.start(5)])
    }

    @Test("churn: not while a node is not ready")
    func churnWaits() {
        let cluster = three(churn: 1_000)
        cluster.setReady(3, false)
        #expect(cluster.tick(now: 5_000) == [])
        cluster.setReady(3, true)
        #expect(cluster.tick(now: 5_200) == [.start(4)])
        #expect(cluster.tick(now: 9_000) == [])
    }

    @Test("churn: a successor that ends is replaced, the old one stays meanwhile")
    func churnFails() {
        let cluster = three(churn: 1_000)
        #expect(cluster.tick(now: 1_000) == [.start(4)])
        cluster.ended(4, now: 1_100)
        #expect(cluster.tick(now: 2_100) == [.start(5)] && cluster.serving == [1, 2, 3])
    }

    @Test("stopping: what does not end in time is killed, once")
    func stopping() {
        let cluster = three(churn: 1_000)
        _ = cluster.tick(now: 1_000)
        cluster.plan.stopAll()
        #expect(cluster.tick(now: 1_200) == [.stop(1), .stop(2), .stop(3), .stop(4)])
        for number in 1...3 { cluster.ended(number, now: 1_300) }
        #expect(cluster.tick(now: 6_199) == [] && !cluster.plan.isEnded)
        #expect(cluster.tick(now: 6_200) == [.kill(4)])
        #expect(cluster.tick(now: 60_000) == [])
        cluster.ended(4, now: 60_000)
        #expect(cluster.plan.isEnded && cluster.tick(now: 70_000) == [])
    }
}
