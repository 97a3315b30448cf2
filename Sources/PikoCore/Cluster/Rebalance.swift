// SPDX-License-Identifier: MIT
// How many tunnels a node that has too many tells to move, second by second (configuration.md, `upstream.rebalance`). A value without
// clock: asked once a second. Which tunnels, and how each is told, is the shell's matter.

/// Evens out the tunnels of a cluster's nodes, gently.
public struct Rebalance: Sendable {
    private var configuration: RebalanceConfiguration
    /// What the rate has allowed and was not used; at most one tunnel is carried over.
    private var allowance = 0.0

    public init(_ configuration: RebalanceConfiguration) { self.configuration = configuration }

    /// Goes on by these rules.
    public mutating func configure(_ configuration: RebalanceConfiguration) { self.configuration = configuration }

    /// How many tunnels are to move now. Once a second.
    /// - Parameters:
    ///   - own: this node's tunnels, without those that are about to go.
    ///   - going: those that are: some node will have them.
    ///   - others: the tunnels of each other active node, as they say.
    public mutating func tick(own: Int, going: Int = 0, others: [Int]) -> Int {
        let average = others.reduce(Double(own) + Double(going)) { $0 + Double(max($1, 0)) } / Double(others.count + 1)
        guard isAbove(average, own: own, others: others) else {
            allowance = 0
            return 0
        }
        let rate = average * configuration.shedRate
        allowance = min(allowance, 1) + rate
        let count = min(Int(allowance), Int(Double(own) - average))
        allowance -= Double(count)
        return count
    }

    private func isAbove(_ average: Double, own: Int, others: [Int]) -> Bool {
        guard configuration.threshold > 0, !others.isEmpty, own >= configuration.minConns else { return false }
        return Double(own) > average * (1 + configuration.threshold)
    }
}
