// SPDX-License-Identifier: MIT
// The nodes of a test cluster that take connections, as the balancer's loops see them. Shared behind a lock that is held for one look-up.
// The control loop alone changes it.

import PikoEngine
import Synchronization

/// The ports that are balanced.
enum BalancedPort: Int, CaseIterable {
    case proxy, upstream, admin
}

/// The nodes that serve. Any thread.
final class Roster: Sendable {
    private struct State {
        var nodes: [LocalNodePorts] = []
        /// Of each port, whose turn it is.
        var turns = Array(repeating: 0, count: BalancedPort.allCases.count)
    }

    private let state = Mutex(State())

    func set(_ nodes: [LocalNodePorts]) { state.withLock { $0.nodes = nodes } }

    /// Where a new connection may go: the node whose turn it is first. Empty when none serves.
    func candidates(_ port: BalancedPort) -> [SocketAddress] {
        let (nodes, turn) = state.withLock { state -> ([LocalNodePorts], Int) in
            state.turns[port.rawValue] &+= 1
            return (state.nodes, state.turns[port.rawValue])
        }
        return nodes.indices.map { Self.address(nodes[($0 + turn) % nodes.count], port) }
    }

    private static func address(_ node: LocalNodePorts, _ port: BalancedPort) -> SocketAddress {
        switch port {
        case .proxy: node.proxy
        case .upstream: node.upstream
        case .admin: node.admin
        }
    }
}
