// SPDX-License-Identifier: MIT
// One agent's connection to the upstream port until it is a tunnel: reads the upgrade request, checks it, finds it a loop, answers. Lives on
// the loop that accepted it, and on the tunnel's loop after the move; the head is read again there. Relays nothing.

import PikoCore
import PikoEngine

/// From a TCP connection to a tunnel. Its connection holds it.
final class UpstreamHandshake: ConnectionHandler {
    /// Milliseconds for the whole handshake.
    private static let patience: UInt64 = 10_000
    /// Milliseconds; a verdict comes sooner, whatever the issuer does.
    private static let verdictPatience: UInt64 = 120_000
    private static let prefix = "/piko/v1/upstream/"
    static let headLimits = HeadLimits(bytes: 64 * 1024, fields: 100)

    private let server: ServerLoop
    /// The place taken for the tunnel, once a loop was chosen.
    private var place: TunnelID?
    /// What the agent's token grants; nil: it was not asked for one, or not yet.
    private var grant: TokenGrant?
    private var verdict: TokenGate.Verdict?
    private var ticket: UInt64?
    private var scanner = HeadScanner()
    private let head = RequestHead(limits: UpstreamHandshake.headLimits)
    private var timer: Timer?
    /// Its number among the unfinished ones of the loop.
    private var dial: UInt64?
    /// Until it is over.
    private var connection: Connection?
    private var isOver = false

    private init(server: ServerLoop, place: TunnelID?, grant: TokenGrant?) {
        self.server = server
        self.place = place
        self.grant = grant
    }

    /// A connection was accepted on this loop.
    static func begin(_ connection: Connection, on server: ServerLoop) {
        start(connection, UpstreamHandshake(server: server, place: nil, grant: nil))
    }

    private static func start(_ connection: Connection, _ handshake: UpstreamHandshake) {
        connection.handler = handshake
        handshake.connection = connection
        connection.setKeptLimit(headLimits.bytes)
        handshake.dial = handshake.server.dials.enter(at: connection.loop.now) { connection.abort() }
        handshake.timer = Timer(on: connection.loop) { [unowned handshake] in handshake.giveUp(connection) }
        handshake.timer?.arm(patience)
        connection.startReading()
    }

    private func giveUp(_ connection: Connection) {
        if !isOver { server.node.refusals.countUpstream(408) }
        connection.abort()
    }

    func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int {
        guard !isOver else { return bytes.count }
        switch scanner.next(bytes) {
        case .needsMore:
            guard bytes.count < Self.headLimits.bytes else { return refuse(connection, 431, "head too large", bytes.count) }
            return 0
        case .malformed: return refuse(connection, 400, "malformed head", bytes.count)
        case .head(let count): return didReadHead(connection, bytes, count)
        }
    }

    private func didReadHead(_ connection: Connection, _ bytes: UnsafeRawBufferPointer, _ count: Int) -> Int {
        if let fault = head.parse(UnsafeRawBufferPointer(rebasing: bytes[..<count])) {
            return refuse(connection, fault.status, fault.text, bytes.count)
        }
        switch enter() {
        case nil:
            scanner.reset()
            return 0
        case .failure(let fault)?: return refuse(connection, fault, bytes.count)
        case .success?: break
        }
        switch checked() {
        case .failure(let refusal): return refuse(connection, refusal.status, refusal.text, bytes.count)
        case .success(let endpoint):
            return isConnectedHere(endpoint) ? sendElsewhere(connection, bytes.count) : settle(connection, endpoint, bytes, count)
        }
    }

    private func refuse(_ connection: Connection, _ fault: TokenFault, _ count: Int) -> Int {
        server.upstreamGate.tokens.count(fault)
        return refuse(connection, fault.status, fault.text, count)
    }

    /// Whether the agent's token lets it in. nil: that is being found out; the head stays unread until then.
    private func enter() -> Result<Void, TokenFault>? {
        let gate = server.upstreamGate
        guard gate.tokens.areAsked, grant == nil else { return .success(()) }
        if let verdict { return verdict.map { grant = $0.grant } }
        guard ticket == nil else { return nil }
        switch gate.admit(head) {
        case .granted(let pass):
            grant = pass.grant
            return .success(())
        case .refused(let fault): return .failure(fault)
        case .unverified(let question):
            hold(question, gate)
            return nil
        }
    }

    private func hold(_ question: TokenQuestion, _ gate: TokenGate) {
        timer?.arm(Self.verdictPatience)
        ticket = gate.ask(question) { [unowned self] verdict in
            self.verdict = verdict
            timer?.arm(Self.patience)
            connection?.resume()
        }
    }

    /// The agent has a tunnel to this node and wants one to another. One that it has let go, and that only finishes what runs on it, is none.
    private func isConnectedHere(_ endpoint: String) -> Bool {
        guard let value = head.fields.value(named: "x-piko-connected") else { return false }
        guard value.split(whereSeparator: { $0 == UInt8(ascii: ",") || $0 <= 0x20 }).contains(where: { $0.elementsEqual(server.node.id.utf8) })
        else { return false }
        guard let listener = listener(endpoint) else { return true }
        return server.node.listeners.tunnel(of: listener).map(server.node.registry.isListed) ?? false
    }

    private func listener(_ endpoint: String) -> ListenerName? {
        ListenerName(id: head.fields.value(named: "x-piko-listener"), endpoint: endpoint)
    }

    private var activeNodes: Int { max(1, server.node.cluster.nodes.count { $0.status == .active }) }

    private struct Refusal: Error {
        let status: UInt16
        let text: StaticString
    }

    /// The endpoint, when the request is a proper upgrade on the right path.
    private func checked() -> Result<String, Refusal> {
        let path = head.pathAndQuery.prefix { $0 != UInt8(ascii: "?") }
        guard path.starts(with: Self.prefix.utf8) else { return .failure(Refusal(status: 404, text: "not found")) }
        let segment = path.dropFirst(Self.prefix.utf8.count)
        guard !segment.isEmpty, !segment.contains(UInt8(ascii: "/")), let name = PercentEncoding.decode(segment),
            name.count <= 256
        else { return .failure(Refusal(status: 404, text: "not found")) }
        guard head.traits.method == .get else { return .failure(Refusal(status: 405, text: "method not allowed")) }
        guard WebSocketUpgrade.isRequested(by: head) else {
            return .failure(Refusal(status: 400, text: "websocket upgrade required"))
        }
        let endpoint = String(decoding: name, as: UTF8.self)
        if let grant, !grant.permits(endpoint) {
            server.upstreamGate.tokens.count(.notPermitted)
            return .failure(Refusal(status: TokenFault.notPermitted.status, text: TokenFault.notPermitted.text))
        }
        guard server.isDraining else { return .success(endpoint) }
        if let listener = listener(endpoint) { server.node.listeners.refused(listener) }
        return .failure(Refusal(status: 503, text: "node is shutting down"))
    }

    private func settle(_ connection: Connection, _ endpoint: String, _ bytes: UnsafeRawBufferPointer, _ count: Int) -> Int {
        place = place ?? server.node.registry.place()
        guard let place else { return refuse(connection, 503, "too many upstreams", bytes.count) }
        guard place.loop == server.index else {
            move(connection, to: place, bytes)
            return bytes.count
        }
        accept(connection, endpoint, place)
        return count
    }

    private func move(_ connection: Connection, to place: TunnelID, _ bytes: UnsafeRawBufferPointer) {
        self.place = nil
        let grant = grant
        finish()
        let node = server.node
        do throws(EngineError) {
            let moving = try connection.detach(extra: bytes)
            let sent = node.loops.members[place.loop].post { (server: ServerLoop) in UpstreamHandshake.land(moving, on: server, place: place, grant: grant) }
            if !sent { node.registry.leave(place) }
        } catch {
            node.registry.leave(place)
            connection.abort()
        }
    }

    private static func land(_ moving: MovingConnection, on server: ServerLoop, place: TunnelID, grant: TokenGrant?) {
        let handshake = UpstreamHandshake(server: server, place: place, grant: grant)
        do throws(EngineError) {
            start(try moving.land(on: server.loop, handler: handshake), handshake)
        } catch {
            server.node.registry.leave(place)
        }
    }

    /// Answers 101 and starts the tunnel on what follows.
    private func accept(_ connection: Connection, _ endpoint: String, _ place: TunnelID) {
        self.place = nil
        let isOurs = head.fields.value(named: "user-agent").map { $0.starts(with: "piko".utf8) } ?? false
        let peer = connection.peerAddress
        let listener = listener(endpoint)
        let answer = WebSocketUpgrade.answer(
            to: WebSocketUpgrade.key(of: head), halfClose: false, node: server.node.id, nodes: activeNodes)
        // It leaves at the end of this turn: by then the tunnel is registered, so whoever has its answer can be asked for.
        guard connection.write(answer, more: true) else {
            server.node.registry.leave(place)
            connection.abort()
            return finish()
        }
        if !isOurs { connection.resetWhenClosed() }  // an original agent exits at a clean end and reconnects after a reset
        let tunnel = ServerTunnel(
            id: place, endpoint: endpoint, registry: server.node.registry, log: server.upstreamLog,
            faults: server.node.refusals.agentFaults, speaksGoAway: isOurs, expiry: grant?.disconnect ?? .infinity
        ) { [server] in
            if let listener { server.node.listeners.release(listener, place) }
            server.didClose($0, $1)
        }
        tunnel.servesHTTP = isOurs && head.fields.value(named: "x-piko-protocol")?.elementsEqual("http".utf8) == true
        var settings = server.node.tunnelSettings
        settings.peerServesLate = isOurs
        var carrier = connection
        do throws(EngineError) {
            carrier = try connection.upgradeToWebSocket(client: false, halfClose: false)
            try tunnel.start(on: carrier, settings: settings)
            server.didOpen(tunnel)
            if let listener { claim(listener, place) }
        } catch {
            carrier.handler = nil
            carrier.abort()
            server.node.registry.leave(place)
            server.upstreamLog.warn("upstream not accepted") {
                $0.add("endpoint_id", endpoint)
                $0.add("peer", peer?.description ?? "")
                $0.add("error", error.description)
            }
        }
        finish()
    }

    /// The tunnel that this one replaces is dead, and only this node does not know: the agent would not dial else. Unless it has let that one go:
    /// then what runs on it goes on.
    private func claim(_ listener: ListenerName, _ place: TunnelID) {
        let node = server.node
        guard let old = node.listeners.claim(listener, place), node.registry.isListed(old) else { return }
        node.registry.retire(old)
        node.loops.members[old.loop].post { (server: ServerLoop) in server.tunnels[old.session]?.abort() }
    }

    private func sendElsewhere(_ connection: Connection, _ count: Int) -> Int {
        server.node.refusals.countUpstream(409)
        connection.writeAlreadyConnected(node: server.node.id, nodes: activeNodes)
        return end(connection, count)
    }

    private func refuse(_ connection: Connection, _ status: UInt16, _ text: StaticString, _ count: Int) -> Int {
        server.node.refusals.countUpstream(status)
        server.upstreamLog.peer(.info, "upstream refused") {
            $0.add("status", status)
            $0.add("error", String(describing: text))
        }
        connection.write(answering: status, text: text)
        return end(connection, count)
    }

    private func end(_ connection: Connection, _ count: Int) -> Int {
        isOver = true
        connection.shut()
        timer?.arm(1000)  // the agent reads the answer; what it still sends is dropped
        return count
    }

    func connectionDidEnd(_ connection: Connection) { connection.close() }

    func connectionDidClose(_ connection: Connection, error: EngineError?) { finish() }

    private func finish() {
        isOver = true
        timer = nil
        connection = nil
        if let ticket { server.upstreamGate.cancel(ticket) }
        if let place { server.node.registry.leave(place) }
        place = nil
        if let dial { server.dials.leave(dial) }
    }
}
