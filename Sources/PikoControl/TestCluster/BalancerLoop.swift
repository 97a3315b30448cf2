// SPDX-License-Identifier: MIT
// The balancer in front of a test cluster: each connection goes to a ready node, in turn, byte for byte. Loop-confined.
// It knows no protocol; which nodes are ready is the roster's matter.

import PikoClient
import PikoEngine

/// Everything of the balancer that lives on one loop.
final class BalancerLoop: EndingLoop {
    let loop: EventLoop
    private let residents = Residents()
    private let roster: Roster
    private var listeners: [Listener] = []

    init(loop: EventLoop, roster: Roster, turnstile: Turnstile) {
        self.loop = loop
        self.roster = roster
        residents.onEmpty = { turnstile.wake() }
    }

    func listen(at address: SocketAddress, for port: BalancedPort) throws(EngineError) {
        listeners.append(try Listener.listen(at: address, on: loop) { [unowned self] in accept($0, port) })
    }

    private func accept(_ client: Connection, _ port: BalancedPort) {
        let balanced = BalancedConnection(client, candidates: roster.candidates(port), on: loop) { [unowned self] in residents.leave($0) }
        residents.enter(balanced) { balanced.abort() }
        balanced.start()
    }

    /// Accepts no more; what runs goes on.
    func drain() {
        for listener in listeners { listener.close() }
        listeners = []
    }

    var busyCount: Int { residents.count }
    func end() { residents.abortAll() }
    func cut() { end() }
    var isEnded: Bool { busyCount == 0 }
}

/// One client's connection, from its acceptance to its end. Held by the loop's residents.
final class BalancedConnection: ConnectionHandler {
    private let client: Connection
    private let loop: EventLoop
    /// The next one last.
    private var candidates: [SocketAddress]
    private var dial: Dialer?
    private var relay: Relay?
    private var isOver = false
    private let onEnd: (BalancedConnection) -> Void

    /// Milliseconds for each node.
    private static let patience: UInt64 = 1_000

    init(_ client: Connection, candidates: [SocketAddress], on loop: EventLoop, onEnd: @escaping (BalancedConnection) -> Void) {
        self.client = client
        self.candidates = candidates.reversed()
        self.loop = loop
        self.onEnd = onEnd
        client.handler = self
    }

    /// Dials one node after the other until one takes it; resets the client where none does.
    func start() {
        guard let address = candidates.popLast() else { return abort() }
        dial = Dialer.dial(host: address.host, port: address.port, timeout: Self.patience, on: loop) { [self] in
            dial = nil
            switch $0 {
            case .success(let node): join(node)
            case .failure: start()
            }
        }
    }

    private func join(_ node: Connection) {
        guard !client.isClosing else {
            node.abort()
            return end()
        }
        relay = Relay.join(client, node) { [self] _ in
            relay = nil
            end()
        }
    }

    func abort() {
        if let relay { return relay.abort() }
        dial?.cancel()
        dial = nil
        client.abort()
        end()
    }

    private func end() {
        if isOver { return }
        isOver = true
        onEnd(self)
    }

    func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int { 0 }

    func connectionDidClose(_ connection: Connection, error: EngineError?) {
        guard let dial else { return }
        dial.cancel()
        self.dial = nil
        end()
    }
}
