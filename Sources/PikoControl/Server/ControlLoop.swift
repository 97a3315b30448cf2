// SPDX-License-Identifier: MIT
// The server's control loop: signals, the admin port, gossip and rebalancing.
// Loop-confined. It asks the worker loops for numbers and never reaches into them.

import PikoCore
import PikoEngine

/// Everything of a server node that lives on the control loop.
final class ControlLoop: EndingControl {
    private let signals: ProcessSignals
    private let port: AdminPort
    private let rebalancer: Rebalancer
    private let pages: AdminPages
    let loop: EventLoop
    let node: ServerNode
    /// From the binding of its port on.
    var gossip: GossipShell? {
        didSet { pages.gossip = gossip }
    }

    init(loop: EventLoop, node: ServerNode, turnstile: Turnstile) throws(EngineError) {
        signals = try ProcessSignals(on: loop, turnstile: turnstile)
        self.loop = loop
        self.node = node
        let pages = AdminPages(node: node, loop: loop)
        self.pages = pages
        port = AdminPort(loop: loop, gate: TokenGate(node.tokens.admin, on: loop)) { pages.respond(to: $0, $1) }
        pages.port = port
        rebalancer = Rebalancer(node, on: loop)
        node.tokens.start(on: loop)
    }

    /// Serves the admin port at this address.
    func listen(at address: SocketAddress) throws(EngineError) { try port.listen(at: address, tls: node.tls.admin) }

    /// What is new in the configuration and concerns the node as a whole.
    func configure(_ configuration: ServerConfiguration) {
        rebalancer.configure(configuration.upstream.rebalance)
        gossip?.use(keys: configuration.cluster.gossip.keys)
    }

    /// Ends everything on the loop.
    func end() {
        signals.end()
        gossip?.end()
        node.tokens.end()
        pages.end()
        port.end()
    }
}
