// SPDX-License-Identifier: MIT
// The server's control loop: signals and the admin port.
// Loop-confined. It asks the worker loops for numbers and never reaches into them.

import PikoCore
import PikoEngine

/// Everything of a server node that lives on the control loop.
final class ControlLoop {
    private let loop: EventLoop
    private let node: ServerNode
    private let signals: StopSignals
    private var listeners: [Listener] = []
    private var clients: [ObjectIdentifier: AdminConnection] = [:]
    private lazy var pages = AdminPages(node: node, loop: loop)

    init(loop: EventLoop, node: ServerNode, turnstile: Turnstile) throws(EngineError) {
        self.loop = loop
        self.node = node
        signals = try StopSignals(on: loop, turnstile: turnstile)
    }

    /// Serves the admin port at this address.
    func listen(at address: SocketAddress) throws(EngineError) {
        listeners.append(try Listener.listen(at: address, on: loop) { [unowned self] in accept($0) })
    }

    private func accept(_ connection: Connection) {
        let client = AdminConnection(connection) { [pages] in pages.respond(to: $0, query: $1, $2) } onClose: { [weak self] in
            self?.clients[ObjectIdentifier($0)] = nil
        }
        clients[ObjectIdentifier(client)] = client
        client.start()
    }

    /// Ends everything on the loop.
    func end() {
        signals.cancel()
        for listener in listeners { listener.close() }
        for client in Array(clients.values) { client.abort() }
    }
}
