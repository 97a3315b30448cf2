// SPDX-License-Identifier: MIT
// The sessions that other nodes have dialled to one loop: each stream is a request that the member forwards to a tunnel of this loop.
// Loop-confined. A member is asked about again at each stream, and trusted no further than with a connection of its own.

import PikoCore
import PikoEngine

/// What became of a member's wish for a session.
enum MemberSessionAnswer {
    /// The connection was upgraded, and is not the proxy's any more.
    case taken
    /// It is for this other loop: the connection moves there and asks again.
    case elsewhere(loop: Int)
    /// Nothing was written: the proxy answers.
    case none(ProxyError)
}

/// Sessions of members with one loop.
final class MemberSessions {
    fileprivate unowned let server: ServerLoop
    private var sessions: [ObjectIdentifier: MemberSession] = [:]

    init(server: ServerLoop) { self.server = server }

    /// Sessions that have not closed yet.
    var count: Int { sessions.count }

    /// Takes a connection whose head asks for a session. Called inside the connection's didRead, for a member only.
    func takeOver(_ connection: Connection, _ head: RequestHead) -> MemberSessionAnswer {
        guard WebSocketUpgrade.isRequested(by: head) else { return .none(.upgradeRequired) }
        guard !server.isDraining else { return .none(.overloaded) }
        guard let loop = loop(head), server.node.loops.members.indices.contains(loop) else { return .none(.notFound) }
        guard loop == server.index else { return .elsewhere(loop: loop) }
        guard let peer = connection.peerAddress else { return .none(.overloaded) }
        // It leaves at the end of this turn.
        connection.write(WebSocketUpgrade.answer(to: WebSocketUpgrade.key(of: head), halfClose: false, node: server.node.id), more: true)
        begin(on: connection, peer)
        return .taken
    }

    private func loop(_ head: RequestHead) -> Int? {
        head.fields.value(named: NodeSessions.loopField).flatMap { UInt8(String(decoding: $0, as: UTF8.self)) }.map(Int.init)
    }

    private func begin(on connection: Connection, _ peer: SocketAddress) {
        let session = MemberSession(of: peer, owner: self)
        do throws(EngineError) {
            try session.start(on: connection)
            sessions[ObjectIdentifier(session)] = session
        } catch {
            server.clientDidEnd()
        }
    }

    fileprivate func didClose(_ session: MemberSession) {
        sessions[ObjectIdentifier(session)] = nil
        server.clientDidEnd()
    }

    /// Tells members to open no new streams; what they open before they read that is served.
    func goAway() {
        for session in sessions.values { session.goAway() }
    }

    /// Ends them politely; streams that are still open break.
    func close() {
        for session in Array(sessions.values) { session.close() }
    }

    /// Ends them now.
    func abort() {
        for session in Array(sessions.values) { session.abort() }
    }
}

/// One session of a member, at the end that accepts.
private final class MemberSession: TunnelSessionHandler {
    private let peer: SocketAddress
    private unowned let owner: MemberSessions
    private var session: TunnelSession?
    private var isMember = false
    /// Of the membership, when it was last asked.
    private var asked: UInt64 = 0

    init(of peer: SocketAddress, owner: MemberSessions) {
        self.peer = peer
        self.owner = owner
    }

    /// Where it throws, the connection is cut.
    func start(on connection: Connection) throws(EngineError) {
        var carrier = connection
        do throws(EngineError) {
            carrier = try connection.upgradeToWebSocket(client: false, halfClose: false)
            session = try TunnelSession.start(on: carrier, settings: owner.server.node.tunnelSettings, handler: self)
        } catch {
            carrier.handler = nil
            carrier.abort()
            throw error
        }
    }

    func goAway() { session?.goAway() }
    func close() { session?.close() }
    func abort() { session?.abort() }

    /// Whoever is no member any more, or finds no room, is refused.
    func session(_ session: TunnelSession, didAccept stream: Connection) {
        guard isStillMember() else { return refusals.nodeFaults.count(.stranger) }
        guard owner.server.node.enter() else {
            refusals.connections.add(1, ordering: .relaxed)
            return
        }
        owner.server.proxy.serveStream(ofMember: stream)
    }

    private var refusals: Refusals { owner.server.node.refusals }

    private func isStillMember() -> Bool {
        guard let membership = owner.server.proxy.membership else { return false }
        let version = membership.version()
        if version != asked {
            asked = version
            isMember = membership.contains(peer)
        }
        return isMember
    }

    func sessionDidMeetFault(_ session: TunnelSession) { refusals.nodeFaults.count(.frame) }

    func sessionIsServed(_ session: TunnelSession) { session.close() }

    func sessionDidClose(_ session: TunnelSession, error: EngineError?) {
        self.session = nil
        refusals.nodeFaults.count(endedBy: error)
        if let error { owner.server.proxy.log.peer(.debug, "session of a node ended") { $0.add("error", error.description) } }
        owner.didClose(self)
    }
}
