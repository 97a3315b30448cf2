// SPDX-License-Identifier: MIT
// An agent's tunnel: dials the server's upstream port, runs the session, and dials again whenever it is lost, for ever. Lives on one loop.
// It hands streams to its handler and knows nothing of what they carry.

import PikoCore
import PikoEngine

/// What a tunnel is for and how to open it.
public struct UpstreamTunnelSettings: Sendable {
    public var endpointID: String
    public var url: ConfiguredURL
    /// Empty: none.
    public var token = ""
    /// Empty: none.
    public var tenantID = ""
    /// Milliseconds within which the first dial must have succeeded; afterwards nothing is given up.
    public var firstTimeout: UInt64 = 30_000
    /// Milliseconds for each attempt.
    public var attemptTimeout: UInt64 = 10_000
    public var session = TunnelSettings(isClient: true)

    public init(endpointID: String, url: ConfiguredURL) {
        self.endpointID = endpointID
        self.url = url
    }

    var request: WebSocketRequest {
        var fields: [(name: String, value: String)] = [("User-Agent", "piko")]
        if !token.isEmpty { fields.append(("Authorization", "Bearer \(token)")) }
        if !tenantID.isEmpty { fields.append(("x-piko-tenant-id", tenantID)) }
        return WebSocketRequest(
            url: url, path: "/piko/v1/upstream/\(PercentEncoding.pathSegment(endpointID))", fields: fields,
            timeout: attemptTimeout)
    }
}

/// What happens on a tunnel. All calls come on its loop.
public protocol UpstreamTunnelHandler: AnyObject {
    /// A client's connection; give it a handler to accept it.
    func tunnel(_ tunnel: UpstreamTunnel, didAccept stream: Connection)
    func tunnelDidConnect(_ tunnel: UpstreamTunnel)
    /// The tunnel is gone or could not be opened; the next try comes in `milliseconds`. `attempt` counts failures in a row from 1.
    func tunnel(_ tunnel: UpstreamTunnel, didLose reason: String, attempt: Int, retryIn milliseconds: UInt64)
    /// The first dial failed for good: nothing is tried any more.
    func tunnel(_ tunnel: UpstreamTunnel, didFail failure: DialFailure)
    /// After `stop` or didFail: nothing follows.
    func tunnelDidEnd(_ tunnel: UpstreamTunnel)
}

/// One endpoint's tunnel to one server. Loop-confined; its owner holds it until tunnelDidEnd.
public final class UpstreamTunnel: TunnelSessionHandler {
    private enum State {
        case idle, waiting, dialling(WebSocketDial), connected(TunnelSession), ended
    }

    public let settings: UpstreamTunnelSettings
    private let loop: EventLoop
    private unowned let handler: any UpstreamTunnelHandler
    private var state = State.idle
    private var timer: Timer?
    private var backoff = Backoff()
    private var failures = 0
    private var wasConnected = false
    private var isStopping = false
    private var startedAt: UInt64 = 0

    public init(_ settings: UpstreamTunnelSettings, on loop: EventLoop, handler: any UpstreamTunnelHandler) {
        self.settings = settings
        self.loop = loop
        self.handler = handler
    }

    /// Begins, once.
    public func start() {
        startedAt = loop.now
        timer = Timer(on: loop) { [unowned self] in dial() }
        dial()
    }

    public var isConnected: Bool {
        if case .connected = state { true } else { false }
    }

    /// Streams that are open now.
    public var streamCount: Int {
        if case .connected(let session) = state { session.streamCount } else { 0 }
    }

    /// Takes no new streams: tells the server to open none. What is open goes on; `stop` ends it.
    public func goAway() {
        isStopping = true
        guard case .connected(let session) = state else { return stop() }
        session.goAway()
    }

    /// Ends the tunnel politely and tries nothing any more. tunnelDidEnd follows, never inside this call.
    public func stop() {
        isStopping = true
        switch state {
        case .connected(let session): session.close()
        case .dialling(let dial):
            dial.cancel()
            end()
        case .idle, .waiting: end()
        case .ended: break
        }
    }

    /// Ends now what `stop` has not ended yet: a server that takes nothing more would keep a polite end waiting.
    public func abort() {
        if case .connected(let session) = state { session.abort() } else { stop() }
    }

    private func end() {
        state = .ended
        timer = nil
        nonisolated(unsafe) let this = self  // the letter comes back to this loop
        loop.post { this.handler.tunnelDidEnd(this) }
    }

    private func dial() {
        let dial = WebSocketDial.dial(settings.request, on: loop) { [self] in
            switch $0 {
            case .success(let socket): didOpen(socket)
            case .failure(let failure): didFail(failure)
            }
        }
        state = .dialling(dial)
    }

    private func didOpen(_ socket: Connection) {
        do throws(EngineError) {
            state = .connected(try TunnelSession.start(on: socket, settings: settings.session, handler: self))
        } catch {
            socket.abort()
            return didFail(.transport(error))
        }
        wasConnected = true
        failures = 0
        backoff.reset()
        handler.tunnelDidConnect(self)
    }

    private func didFail(_ failure: DialFailure) {
        let isLate = loop.now &- startedAt >= settings.firstTimeout
        guard wasConnected || (failure.isTransient && !isLate) else {
            handler.tunnel(self, didFail: failure)
            return end()
        }
        retry(failure.description)
    }

    private func retry(_ reason: String) {
        guard !isStopping else { return end() }
        failures += 1
        var wait = backoff.next(.random(in: 0...1))
        if !wasConnected {
            let deadline = startedAt &+ settings.firstTimeout
            wait = min(wait, deadline > loop.now ? deadline - loop.now : 0)
        }
        state = .waiting
        handler.tunnel(self, didLose: reason, attempt: failures, retryIn: wait)
        timer?.arm(wait)
    }

    public func session(_ session: TunnelSession, didAccept stream: Connection) {
        guard !isStopping else { return }
        handler.tunnel(self, didAccept: stream)
    }

    public func sessionDidClose(_ session: TunnelSession, error: EngineError?) {
        retry(error?.description ?? "closed by the server")
    }
}
