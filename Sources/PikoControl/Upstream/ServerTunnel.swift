// SPDX-License-Identifier: MIT
// One agent's tunnel on this node: its session, its endpoint, its name. Lives on its loop; listed in the registry while it can be selected.
// It opens streams for the proxy and knows nothing of what they carry.

import PikoClient
import PikoCore
import PikoEngine

/// An agent's tunnel, at the server's end. Loop-confined.
final class ServerTunnel: TunnelSessionHandler {
    private enum Stage {
        case serving
        /// The agent was told to move; it is selected until the agent says that it has.
        case told
        /// Not selected any more; what runs on it goes on.
        case retired
    }

    /// Of a go away.
    private static let internalError: UInt32 = 2
    /// Milliseconds between looks at the clock.
    private static let longestWait = 60_000.0

    let id: TunnelID
    let endpoint: String
    private let registry: TunnelRegistry
    private let log: Log
    private let faults: SessionFaults
    /// An agent of ours: it can be told to move, and reconnects after a polite end. Original ones exit then, and are told of an error instead.
    let speaksGoAway: Bool
    /// It said at its dial that it serves HTTP itself: no service behind it can speak in its name.
    var servesHTTP = false
    private var stage = Stage.serving
    /// Seconds since 1970 at which its agent is disconnected; infinite: never.
    private let expiry: Double
    private var expiryTimer: Timer?
    private let onClosed: (ServerTunnel, EngineError?) -> Void
    private(set) var session: TunnelSession?

    /// - Parameters:
    ///   - id: a place taken in the registry; given back when the tunnel has closed.
    init(
        id: TunnelID, endpoint: String, registry: TunnelRegistry, log: Log, faults: SessionFaults, speaksGoAway: Bool, expiry: Double = .infinity,
        onClosed: @escaping (ServerTunnel, EngineError?) -> Void
    ) {
        self.id = id
        self.endpoint = endpoint
        self.registry = registry
        self.log = log
        self.faults = faults
        self.speaksGoAway = speaksGoAway
        self.expiry = expiry
        self.onClosed = onClosed
    }

    /// Starts the session on an upgraded connection; from then on the tunnel is selected.
    func start(on socket: Connection, settings: TunnelSettings) throws(EngineError) {
        session = try TunnelSession.start(on: socket, settings: settings, handler: self)
        registry.open(id, endpoint: endpoint)
        if expiry.isFinite {
            expiryTimer = Timer(on: socket.loop) { [unowned self] in awaitExpiry() }
            awaitExpiry()
        }
        log.peer(.info, "upstream connected") { $0.add("endpoint_id", endpoint) }
    }

    /// Looks again now and then: the clock that tokens are dated by may be set.
    private func awaitExpiry() {
        let left = expiry - TokenClock.now
        guard left <= 0 else {
            expiryTimer?.arm(UInt64(min(left * 1000, Self.longestWait).rounded(.up)))
            return
        }
        log.peer(.info, "upstream token expired") { $0.add("endpoint_id", endpoint) }
        end()
    }

    /// Opens a stream for a request or a connection.
    func open(handler: any ConnectionHandler) throws(EngineError) -> Connection {
        guard let session else { throw .closed }
        return try session.open(handler: handler)
    }

    /// Serves, and nobody has asked it to go.
    var isSettled: Bool { stage == .serving }
    var streamCount: Int { session?.streamCount ?? 0 }

    /// Tells an agent of ours to move. It opens its next tunnel first; until it says that it has, this one serves on. Once is enough.
    func askToMove(_ reason: MoveReason) {
        guard speaksGoAway, stage == .serving else { return }
        stage = .told
        session?.goAway(code: reason.rawValue)
    }

    /// Is not selected any more; what runs on it goes on.
    func retire() {
        stage = .retired
        registry.retire(id)
    }

    /// Ends with all that runs on it. An original agent exits at a polite end and reconnects after an error: it gets one as yamux has it, because
    /// a balancer in between would make a polite end of a reset.
    func end() {
        retire()
        if !speaksGoAway { session?.goAway(code: Self.internalError) }
        session?.close()
    }

    func abort() { session?.abort() }

    /// An agent opens none: nobody takes it.
    func session(_ session: TunnelSession, didAccept stream: Connection) { faults.count(.stream) }

    func sessionDidMeetFault(_ session: TunnelSession) { faults.count(.frame) }

    func sessionIsGoingAway(_ session: TunnelSession, code: UInt32) {
        retire()
        log.peer(.info, "upstream going away") {
            $0.add("endpoint_id", endpoint)
            $0.add("code", code)
        }
    }

    func sessionDidClose(_ session: TunnelSession, error: EngineError?) {
        self.session = nil
        expiryTimer = nil
        registry.leave(id)
        log.peer(.info, "upstream disconnected") {
            $0.add("endpoint_id", endpoint)
            if let error { $0.add("error", error.description) }
        }
        onClosed(self, error)
    }
}
