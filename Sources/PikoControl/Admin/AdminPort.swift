// SPDX-License-Identifier: MIT
// A port for operators: its listeners and clients.
// Control loop only. What it answers is its owner's matter.

import PikoEngine

/// Serves pages to operators. Loop-confined.
final class AdminPort {
    private static let mostClients = 256

    private let loop: EventLoop
    private let gate: TokenGate?
    private let respond: AdminConnection.Respond
    private var listeners: [Listener] = []
    private var clients: [ObjectIdentifier: AdminConnection] = [:]
    private let overflow = Overflow()
    /// Heads and connections that were refused, by status.
    private(set) var refused: [UInt16: UInt64] = [:]

    /// - Parameter gate: who is let in; nil: everybody.
    init(loop: EventLoop, gate: TokenGate? = nil, respond: @escaping AdminConnection.Respond) {
        self.loop = loop
        self.gate = gate
        self.respond = respond
    }

    /// `tls`: nil for plain text.
    func listen(at address: SocketAddress, tls: TLSPort? = nil) throws(EngineError) {
        listeners.append(
            try Listener.listen(at: address, tls: tls?.source, on: loop) { [unowned self] in
                tls?.watch($0)
                accept($0)
            })
    }

    /// Connections that no descriptor was left for.
    var exhausted: UInt64 { listeners.refused }

    private func accept(_ connection: Connection) {
        guard clients.count < Self.mostClients || dropIdlest() else {
            refused[503, default: 0] += 1
            return overflow.turnAway(connection, 503, "too many connections")
        }
        let client = AdminConnection(connection, gate: gate, respond: respond) { [weak self] in
            self?.refused[$0, default: 0] += 1
        } onClose: { [weak self] in
            self?.clients[ObjectIdentifier($0)] = nil
        }
        clients[ObjectIdentifier(client)] = client
        client.start()
    }

    /// The client that has asked nothing for longest makes room: whoever holds connections must not keep health checks out. False: all of them
    /// have an answer under way.
    private func dropIdlest() -> Bool {
        let waiting = clients.values.compactMap { client in client.idleSince.map { (since: $0, client: client) } }
        guard let idlest = waiting.min(by: { $0.since < $1.since })?.client else { return false }
        refused[408, default: 0] += 1
        clients[ObjectIdentifier(idlest)] = nil
        idlest.abort()
        return true
    }

    /// Stops listening and cuts its clients.
    func end() {
        for listener in listeners { listener.close() }
        listeners = []
        for client in Array(clients.values) { client.abort() }
    }
}
