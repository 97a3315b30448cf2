// SPDX-License-Identifier: MIT
// One agent's tunnel on this node: its session, its endpoint, its name. Lives on its loop; listed in the registry while it can be selected.
// It opens streams for the proxy and knows nothing of what they carry.

import PikoCore
import PikoEngine

/// An agent's tunnel, at the server's end. Loop-confined.
final class ServerTunnel: TunnelSessionHandler {
    let id: TunnelID
    let endpoint: String
    private let registry: TunnelRegistry
    private let log: Log
    private let speaksGoAway: Bool
    private let onClosed: (ServerTunnel) -> Void
    private(set) var session: TunnelSession?

    /// - Parameters:
    ///   - id: a place taken in the registry; given back when the tunnel has closed.
    ///   - speaksGoAway: an agent of ours, which reconnects after a polite end. Original ones exit then, and are reset instead.
    init(
        id: TunnelID, endpoint: String, registry: TunnelRegistry, log: Log, speaksGoAway: Bool,
        onClosed: @escaping (ServerTunnel) -> Void
    ) {
        self.id = id
        self.endpoint = endpoint
        self.registry = registry
        self.log = log
        self.speaksGoAway = speaksGoAway
        self.onClosed = onClosed
    }

    /// Starts the session on an upgraded connection; from then on the tunnel is selected.
    func start(on socket: Connection, settings: TunnelSettings) throws(EngineError) {
        session = try TunnelSession.start(on: socket, settings: settings, handler: self)
        registry.open(id, endpoint: endpoint)
        log.peer(.info, "upstream connected") { $0.add("endpoint_id", endpoint) }
    }

    /// Opens a stream for a request or a connection.
    func open(handler: any ConnectionHandler) throws(EngineError) -> Connection {
        guard let session else { throw .closed }
        return try session.open(handler: handler)
    }

    /// Is not selected any more and ends: politely for agents of ours, by reset for original ones (protocol.md, "yamux").
    func end() {
        registry.retire(id)
        guard speaksGoAway else { session?.abort(); return }
        session?.goAway()
        session?.close()
    }

    func abort() { session?.abort() }

    func sessionIsGoingAway(_ session: TunnelSession, code: UInt32) {
        registry.retire(id)
        log.peer(.info, "upstream going away") {
            $0.add("endpoint_id", endpoint)
            $0.add("code", code)
        }
    }

    func sessionDidClose(_ session: TunnelSession, error: EngineError?) {
        self.session = nil
        registry.leave(id)
        log.peer(.info, "upstream disconnected") {
            $0.add("endpoint_id", endpoint)
            if let error { $0.add("error", error.description) }
        }
        onClosed(self)
    }
}
