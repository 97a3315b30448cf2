// SPDX-License-Identifier: MIT
// The forward's part of one loop: its listeners and the connections under way. Loop-confined. A client's connection is joined to a
// WebSocket of the server's proxy port; bytes are moved by the relay's flows.

import PikoClient
import PikoCore
import PikoEngine

/// Everything of a forward that lives on one loop.
final class ForwardLoop: EndingLoop {
    let loop: EventLoop
    private let residents = Residents()
    private var configuration: ForwardConfiguration
    /// For a server's URL of https, which it may become while we run.
    private let tls: TLSIdentity
    private let log: Log
    private var listeners: [Listener] = []

    init(loop: EventLoop, configuration: ForwardConfiguration, tls: TLSIdentity, log: Log, turnstile: Turnstile) {
        self.tls = tls
        self.loop = loop
        self.configuration = configuration
        self.log = log.named("forward")
        residents.onEmpty = { turnstile.wake() }
    }

    /// What is new in the configuration holds for connections to come.
    func configure(_ configuration: ForwardConfiguration) { self.configuration = configuration }

    func listen(at address: SocketAddress, endpoint: String) throws(EngineError) {
        let listener = try Listener.listen(at: address, on: loop) { [unowned self] in
            accept($0, endpoint: endpoint)
        }
        listeners.append(listener)
    }

    /// Accepts no more; what runs goes on.
    func drain() {
        for listener in listeners { listener.close() }
        listeners = []
    }

    /// Connections under way.
    var busyCount: Int { residents.count }

    /// Cuts what is under way.
    func end() { residents.abortAll() }

    func cut() { end() }

    var isEnded: Bool { busyCount == 0 }

    private func accept(_ client: Connection, endpoint: String) {
        let forwarded = ForwardedConnection(client, loop: self, endpoint: endpoint)
        residents.enter(forwarded) { forwarded.abort() }
        do throws(DialFailure) {
            forwarded.start(try request(for: endpoint))
        } catch {
            forwarded.fail(error)
        }
    }

    private func request(for endpoint: String) throws(DialFailure) -> WebSocketRequest {
        var fields: [(name: String, value: String)] = [("User-Agent", "piko")]
        let token = try TokenFile.read(configuration.connect.tokenFile, otherwise: configuration.connect.token)
        if !token.isEmpty { fields.append(("Authorization", "Bearer \(token)")) }
        var request = WebSocketRequest(
            url: configuration.connect.url, path: "/_piko/v1/tcp/\(PercentEncoding.pathSegment(endpoint))", fields: fields,
            offersHalfClose: true, proxy: configuration.connect.proxyURL, timeout: configuration.connect.timeout.wholeMilliseconds)
        request.tls = tls.context
        return request
    }

    func didEnd(_ forwarded: ForwardedConnection, _ end: RelayEnd) {
        residents.leave(forwarded)
        log.debug("connection ended") {
            $0.add("endpoint_id", forwarded.endpoint)
            $0.add("sent", end.sent)
            $0.add("received", end.received)
            if let error = end.error { $0.add("error", error.description) }
        }
    }

    func didCancel(_ forwarded: ForwardedConnection) { residents.leave(forwarded) }

    func didFail(_ forwarded: ForwardedConnection, _ failure: DialFailure) {
        residents.leave(forwarded)
        log.peer(.warn, "server not reached") {
            $0.add("endpoint_id", forwarded.endpoint)
            $0.add("error", failure.description)
        }
    }
}

/// One client's connection, from its acceptance to its end. Held by the loop's residents.
final class ForwardedConnection: ConnectionHandler {
    let endpoint: String
    private let client: Connection
    private unowned let owner: ForwardLoop
    private var dial: WebSocketDial?
    private var relay: Relay?

    init(_ client: Connection, loop: ForwardLoop, endpoint: String) {
        self.client = client
        self.endpoint = endpoint
        owner = loop
        client.handler = self
    }

    /// Dials the server. The client's bytes wait in its socket meanwhile; only its leaving is not noticed before the dial's deadline.
    func start(_ request: WebSocketRequest) {
        dial = WebSocketDial.dial(request, on: owner.loop) { [self] in
            dial = nil
            switch $0 {
            case .success(let socket): join(socket)
            case .failure(let failure): fail(failure)
            }
        }
    }

    private func join(_ socket: Connection) {
        guard !client.isClosing else {
            socket.abort()
            return owner.didCancel(self)
        }
        relay = Relay.join(client, socket) { [self] end in
            relay = nil
            owner.didEnd(self, end)
        }
    }

    func fail(_ failure: DialFailure) {
        client.abort()
        owner.didFail(self, failure)
    }

    func abort() {
        if let relay { return relay.abort() }
        dial?.cancel()
        dial = nil
        client.abort()
        owner.didCancel(self)
    }

    func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int { 0 }

    func connectionDidClose(_ connection: Connection, error: EngineError?) {
        guard let dial else { return }
        dial.cancel()
        self.dial = nil
        owner.didCancel(self)
    }
}
