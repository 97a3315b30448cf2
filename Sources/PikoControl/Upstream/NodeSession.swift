// SPDX-License-Identifier: MIT
// One session from a loop of this node to one loop of another: dialled, used, given up, closed behind its last stream. Loop-confined. This end
// opens the streams, one for each request; what they carry is the proxy's matter.

import PikoClient
import PikoCore
import PikoEngine

/// A session to another node, at the end that dials. Held by the pool of all of a loop until it has closed.
final class NodeSession: TunnelSessionHandler {
    private enum State {
        case dialling(WebSocketDial)
        case open(TunnelSession)
        /// Takes no new streams; those open go on.
        case retired(TunnelSession)
        case over
    }

    private var state = State.over
    private unowned let residents: NodeSessionResidents
    /// Told once, when no stream can be opened any more.
    private var onSetback: ((NodeRoutes.Setback, String) -> Void)?
    private let loop: EventLoop
    /// Milliseconds of the loop's clock.
    private var lastUsed: UInt64 = 0

    /// - Parameter node: the id of the node that is to answer.
    init(
        _ request: WebSocketRequest, node: String, settings: TunnelSettings, residents: NodeSessionResidents,
        onSetback: @escaping (NodeRoutes.Setback, String) -> Void
    ) {
        self.residents = residents
        self.onSetback = onSetback
        loop = residents.loop
        residents.enter(self)
        state = .dialling(WebSocketDial.dial(request, on: loop) { [self] result in didDial(result, node, settings) })
    }

    /// A new stream. nil: there is no session now.
    func open(handler: any ConnectionHandler) -> Connection? {
        guard case .open(let session) = state else { return nil }
        lastUsed = loop.now
        do throws(EngineError) { return try session.open(handler: handler) } catch { return nil }
    }

    /// From now on it takes no new streams. It ends behind the last that is open.
    func retire() {
        onSetback = nil
        switch state {
        case .dialling(let dial):
            dial.cancel()
            end()
        case .open(let session):
            state = .retired(session)
            look(now: loop.now, idleTimeout: 0)
        case .retired, .over: break
        }
    }

    /// Ends it where nothing is to be expected of it.
    func look(now: UInt64, idleTimeout: UInt64) {
        switch state {
        case .open(let session) where session.streamCount == 0 && idleTimeout > 0 && now >= lastUsed &+ idleTimeout:
            setBack(.lost, "idle")
            session.close()
        case .retired(let session) where session.streamCount == 0: session.close()
        default: break
        }
    }

    /// Ends it politely; streams that are still open break.
    func close() { finish { $0.close() } }

    /// Ends it now.
    func abort() { finish { $0.abort() } }

    private func finish(_ end: (TunnelSession) -> Void) {
        switch state {
        case .dialling: retire()
        case .open(let session), .retired(let session):
            onSetback = nil
            end(session)
        case .over: break
        }
    }

    private func setBack(_ setback: NodeRoutes.Setback, _ reason: String) {
        let tell = onSetback
        onSetback = nil
        tell?(setback, reason)
    }

    private func end() {
        state = .over
        residents.leave(self)
    }

    // MARK: Dialling

    private func didDial(_ result: Result<Connection, DialFailure>, _ node: String, _ settings: TunnelSettings) {
        guard case .dialling(let dial) = state else { return }
        switch result {
        case .failure(let failure): fail(failure.means, failure.description)
        case .success(let socket) where dial.node.id != node:
            socket.abort()
            fail(.unknown, "another node answered")
        case .success(let socket): begin(socket, settings)
        }
    }

    private func begin(_ socket: Connection, _ settings: TunnelSettings) {
        do throws(EngineError) {
            state = .open(try TunnelSession.start(on: socket, settings: settings, handler: self))
            lastUsed = loop.now
        } catch {
            socket.abort()
            fail(.notNow, error.description)
        }
    }

    private func fail(_ setback: NodeRoutes.Setback, _ reason: String) {
        setBack(setback, reason)
        end()
    }

    // MARK: The session

    /// We did not ask for any.
    func session(_ session: TunnelSession, didAccept stream: Connection) { residents.faults.count(.stream) }

    func sessionDidMeetFault(_ session: TunnelSession) { residents.faults.count(.frame) }

    func sessionIsGoingAway(_ session: TunnelSession, code: UInt32) {
        setBack(.notNow, "told to go")
        retire()
    }

    func sessionDidClose(_ session: TunnelSession, error: EngineError?) {
        residents.faults.count(endedBy: error)
        setBack(.lost, error?.description ?? "closed")
        end()
    }
}

extension DialFailure {
    /// A node that leaves or is full says 503; who knows no sessions, anything else.
    fileprivate var means: NodeRoutes.Setback {
        switch self {
        case .transport, .proxy, .refused(status: 503, _): .notNow
        case .refused, .malformed, .token: .unknown
        }
    }
}

/// The sessions of a loop to all other nodes, until each has closed. Loop-confined.
final class NodeSessionResidents {
    /// Milliseconds between looks at sessions that may have nothing left to do.
    private static let interval: UInt64 = 5_000

    let loop: EventLoop
    /// What the nodes at the other ends did.
    let faults: SessionFaults
    private var sessions: [ObjectIdentifier: NodeSession] = [:]
    private var timer: Timer?
    /// Called whenever the last one has closed.
    var onEmpty: () -> Void = {}

    init(on loop: EventLoop, faults: SessionFaults) {
        self.loop = loop
        self.faults = faults
    }

    var count: Int { sessions.count }

    func enter(_ session: NodeSession) {
        sessions[ObjectIdentifier(session)] = session
        if sessions.count == 1 { arm() }
    }

    func leave(_ session: NodeSession) {
        sessions[ObjectIdentifier(session)] = nil
        guard sessions.isEmpty else { return }
        timer?.disarm()
        onEmpty()
    }

    private func arm() {
        let timer = timer ?? Timer(on: loop) { [unowned self] in look() }
        self.timer = timer
        timer.arm(Self.interval)
    }

    private func look() {
        for session in Array(sessions.values) { session.look(now: loop.now, idleTimeout: NodePool.idleTimeout) }
        if !sessions.isEmpty { arm() }
    }

    /// Ends them all politely.
    func close() {
        for session in Array(sessions.values) { session.close() }
    }

    /// Ends them all now.
    func abort() {
        for session in Array(sessions.values) { session.abort() }
    }
}
