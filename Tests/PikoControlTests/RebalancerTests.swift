// SPDX-License-Identifier: MIT
// How a node's shed tunnels are divided among its loops.
// No loops: the arithmetic alone.

import Testing

@testable import PikoControl

@Suite struct RebalancerTests {
    @Test("rebalancer: loops shed from whichever has most, never more than they have")
    func parts() {
        #expect(Rebalancer.parts(of: 3, among: [5, 2]) == [3, 0])
        #expect(Rebalancer.parts(of: 4, among: [4, 4]).reduce(0, +) == 4)
        #expect(Rebalancer.parts(of: 4, among: [4, 4]).sorted() == [2, 2])
        #expect(Rebalancer.parts(of: 9, among: [1, 0, 2]) == [1, 0, 2])
        #expect(Rebalancer.parts(of: 0, among: [1]) == [0])
        #expect(Rebalancer.parts(of: 2, among: []) == [])
    }
}
