// SPDX-License-Identifier: MIT
// The sessions of one loop to the loops of one other node of ours: many requests share the reads and writes of one connection. Loop-confined.
// Which loop, and when to dial, says NodeRoutes; a request never waits for a session, it goes over a connection of the pool instead.

import PikoClient
import PikoCore
import PikoEngine

/// Sessions to one node, beside the pool of connections to it.
final class NodeSessions {
    /// Of the dial: the loop of the other node that the session is for.
    static let loopField: StaticString = "x-piko-loop"

    private let node: String
    private let place: HostPort
    /// nil: the node speaks plain text.
    private let tls: TLSIdentity?
    private let settings: TunnelSettings
    private let residents: NodeSessionResidents
    private let log: Log
    private var routes = NodeRoutes()
    /// By the other node's loop; dialled, or open.
    private var sessions: [Int: NodeSession] = [:]
    private var isClosed = false
    /// Streams opened so far.
    private(set) var uses: UInt64 = 0

    /// - Parameter settings: bounds of each session.
    init(
        to node: String, at place: HostPort, tls: TLSIdentity?, settings: TunnelSettings, residents: NodeSessionResidents, log: Log
    ) {
        self.node = node
        self.place = place
        self.tls = tls
        self.settings = settings
        self.residents = residents
        self.log = log
    }

    private var now: UInt64 { residents.loop.now }

    /// A stream to where the node's tunnels for the endpoint are. nil: not known, or there is no session there yet.
    func open(_ request: UpstreamRequest, beside pool: ConnectionPool) -> OpenedUpstream? {
        guard !isClosed, let index = routes.loop(for: request.endpoint, now: now) else { return nil }
        guard let session = sessions[index] else {
            dial(index)
            return nil
        }
        guard let stream = session.open(handler: request.handler) else { return nil }
        uses &+= 1
        return OpenedUpstream(stream, beside: pool)
    }

    /// The node said where the tunnels of an endpoint are.
    func learn(_ endpoint: String, loops: [UInt8]) { routes.learn(endpoint, loops: loops, now: now) }

    /// What was known of an endpoint was wrong: the next request learns anew.
    func forget(_ endpoint: String) { routes.forget(endpoint) }

    /// No new streams on the sessions there are; each ends behind its last one. Later ones are dialled again.
    func retire() {
        let retired = sessions
        sessions = [:]
        for session in retired.values { session.retire() }
    }

    /// The same for good.
    func drain() {
        isClosed = true
        retire()
    }

    private func dial(_ index: Int) {
        guard routes.mayDial(now: now) else { return }
        let fields = [("User-Agent", "piko"), ("x-piko-forward", "true"), ("\(Self.loopField)", String(index))]
        let url = ConfiguredURL(scheme: tls == nil ? .http : .https, host: place.host, port: place.port)
        var request = WebSocketRequest(url: url, path: ReservedPath.nodeSession, fields: fields, timeout: NodePool.dialTimeout)
        request.tls = tls?.context
        request.serverName = tls?.serverName
        sessions[index] = NodeSession(request, node: node, settings: settings, residents: residents) { [weak self] in
            self?.meet($0, index, $1)
        }
    }

    private func meet(_ setback: NodeRoutes.Setback, _ index: Int, _ reason: String) {
        sessions[index] = nil
        routes.meet(setback, now: now)
        log.peer(.debug, "node session ended") {
            $0.add("node_id", node)
            $0.add("loop", index)
            $0.add("reason", reason)
        }
    }
}
