// SPDX-License-Identifier: MIT
// A listener's tunnels: carries out what the plan says, runs the sessions, and dials again whenever one is lost, for ever. Lives on one loop.
// It hands streams to its handler and knows nothing of what they carry; when to dial and what to let go is the plan's.

import PikoCore
import PikoEngine

/// One endpoint's tunnels to different nodes of a cluster. Loop-confined; its owner holds it until tunnelsDidEnd.
public final class UpstreamTunnels: TunnelSessionHandler {
    private struct Tunnel {
        let number: UInt32
        let session: TunnelSession
        var saidGoAway = false
        /// Nothing comes on it any more.
        var isServed = false
    }

    private enum Stage { case running, stopping, ended }

    /// Milliseconds until a whole cluster has heard of a new tunnel.
    private static let hearsay: UInt64 = 1000

    /// A change is for the dials to come; how many tunnels are wanted stays.
    public var settings: UpstreamTunnelSettings
    private let loop: EventLoop
    private unowned let handler: any UpstreamTunnelsHandler
    private let listener = UInt64.random(in: .min ... .max)
    private var plan: TunnelPlan
    private var tunnels: [Tunnel] = []
    private var lastNumber: UInt32 = 0
    private var stage = Stage.running
    private var dialling: WebSocketDial?
    /// There only while something is waited for: an agent may have thousands of listeners at rest.
    private var timer: Timer?
    /// Tunnels that are to be let go soon, by number.
    private var partings: [UInt32: Timer] = [:]
    private var failures = 0
    private var hasConnected = false
    private var lastFailure = DialFailure.transport(.timeout)
    private var startedAt: UInt64 = 0

    public init(_ settings: UpstreamTunnelSettings, on loop: EventLoop, handler: any UpstreamTunnelsHandler) {
        self.settings = settings
        self.loop = loop
        self.handler = handler
        plan = TunnelPlan(wanted: settings.tunnels)
    }

    /// Begins, once.
    public func start() {
        startedAt = loop.now
        take(.started)
    }

    /// Streams that are open now, and tunnels on which the server may still open some although it was told not to.
    public var busyCount: Int {
        tunnels.reduce(0) { $0 + max($1.session.streamCount, $1.saidGoAway && !$1.isServed ? 1 : 0) }
    }

    /// Takes no new streams: tells the servers to open none. What is open goes on; each tunnel ends behind its last stream.
    public func goAway() {
        guard beginToStop() else { return }
        for index in tunnels.indices { sayGoAway(index) }
    }

    /// Ends the tunnels politely and tries nothing any more. tunnelsDidEnd follows, never inside this call.
    public func stop() {
        guard beginToStop() else { return }
        for tunnel in tunnels { tunnel.session.close() }
    }

    /// Ends now what `stop` has not ended yet: a server that takes nothing more would keep a polite end waiting.
    public func abort() {
        guard beginToStop() else { return }
        for tunnel in tunnels { tunnel.session.abort() }
    }

    /// False when all has ended, now or before.
    private func beginToStop() -> Bool {
        guard stage != .ended else { return false }
        stage = .stopping
        dialling?.cancel()
        dialling = nil
        timer = nil
        partings = [:]
        endIfDone()
        return stage != .ended
    }

    private func endIfDone() {
        guard stage == .stopping, tunnels.isEmpty else { return }
        stage = .ended
        nonisolated(unsafe) let this = self  // the letter comes back to this loop
        loop.post { this.handler.tunnelsDidEnd(this) }
    }

    // MARK: The plan

    /// Returns the milliseconds of a wait that it led to.
    @discardableResult
    private func take(_ event: TunnelPlan.Event) -> UInt64? {
        guard stage == .running else { return nil }
        var wait: UInt64?
        for directive in plan.handle(event, now: loop.now, random: .random(in: 0...1)) {
            switch directive {
            case .dial: dial()
            case .wait(let milliseconds):
                wait = hasConnected ? milliseconds : min(milliseconds, firstTimeLeft)
                arm(wait ?? 0)
            case .rest: timer = nil
            case .letGo(let number): letGo(number)
            }
        }
        return wait
    }

    private func arm(_ milliseconds: UInt64) {
        let timer = timer ?? Timer(on: loop) { [unowned self] in timerDidFire() }
        self.timer = timer
        timer.arm(milliseconds)
    }

    private func timerDidFire() {
        if !hasConnected && firstTimeLeft == 0 { giveUp(lastFailure) } else { take(.due) }
    }

    /// Milliseconds until the first dial must have succeeded.
    private var firstTimeLeft: UInt64 {
        let deadline = startedAt &+ settings.firstTimeout
        return deadline > loop.now ? deadline - loop.now : 0
    }

    /// Other nodes send requests through the old tunnel until they have heard of the one that replaces it.
    private func letGo(_ number: UInt32) {
        let timer = Timer(on: loop) { [unowned self] in
            tunnels.firstIndex { $0.number == number }.map(sayGoAway)
            partings[number] = nil
        }
        partings[number] = timer
        timer.arm(Self.hearsay)
    }

    private func sayGoAway(_ index: Int) {
        tunnels[index].saidGoAway = true
        tunnels[index].session.goAway()
    }

    // MARK: Dialling

    private func giveUp(_ failure: DialFailure) {
        stage = .stopping
        handler.tunnels(self, didFail: failure)
        endIfDone()
    }

    private func dial() {
        let timeout = hasConnected ? settings.attemptTimeout : min(settings.attemptTimeout, firstTimeLeft)
        let request: WebSocketRequest
        do throws(DialFailure) {
            request = try settings.request(listener: listener, connected: plan.connectedNodes, timeout: timeout)
        } catch {
            return failLater(error)
        }
        dialling = WebSocketDial.dial(request, on: loop) { [self] result in
            let node = dialling?.node ?? AnsweringNode()
            dialling = nil
            switch result {
            case .success(let socket): didOpen(socket, node)
            case .failure(let failure): didFail(failure, node)
            }
        }
    }

    /// The plan hears of it when it has been carried out.
    private func failLater(_ failure: DialFailure) {
        nonisolated(unsafe) let this = self  // the letter comes back to this loop
        loop.post { if this.stage == .running { this.didFail(failure, AnsweringNode()) } }
    }

    private func didOpen(_ socket: Connection, _ node: AnsweringNode) {
        lastNumber &+= 1
        do throws(EngineError) {
            let session = try TunnelSession.start(on: socket, settings: settings.session, handler: self)
            tunnels.append(Tunnel(number: lastNumber, session: session))
        } catch {
            socket.abort()
            return didFail(.transport(error), node)
        }
        hasConnected = true
        failures = 0
        if timer?.isArmed == false { timer = nil }
        handler.tunnels(self, didConnectTo: node.id)
        take(.connected(lastNumber, node))
    }

    private func didFail(_ failure: DialFailure, _ node: AnsweringNode) {
        guard hasConnected || failure.isTransient else { return giveUp(failure) }
        lastFailure = failure
        if case .refused(status: 409, _) = failure {
            take(.alreadyConnected(node))
        } else {
            meet(failure.description, failure: failure, .failed)
        }
    }

    private func meet(_ reason: String, failure: DialFailure? = nil, _ event: TunnelPlan.Event) {
        failures += 1
        let wait = take(event)
        guard stage == .running else { return }
        handler.tunnels(
            self,
            didMeet: UpstreamTrouble(
                reason: reason, failure: failure, attempt: failures, retryIn: wait, serving: plan.servingCount))
    }

    // MARK: Sessions

    public func session(_ session: TunnelSession, didAccept stream: Connection) {
        handler.tunnels(self, didAccept: stream)
    }

    public func sessionIsGoingAway(_ session: TunnelSession, code: UInt32) {
        guard let tunnel = tunnels.first(where: { $0.session === session }) else { return }
        take(.toldToGo(tunnel.number, nodeLeaves: code != MoveReason.tooManyHere.rawValue))
    }

    public func sessionIsServed(_ session: TunnelSession) {
        guard let index = tunnels.firstIndex(where: { $0.session === session }) else { return }
        tunnels[index].isServed = true
        session.close()
        if stage == .stopping { handler.tunnelsDidServe(self) }
    }

    public func sessionDidMeetFault(_ session: TunnelSession) { handler.tunnelsDidMeetFault(self) }

    public func sessionDidClose(_ session: TunnelSession, error: EngineError?) {
        guard let index = tunnels.firstIndex(where: { $0.session === session }) else { return }
        let tunnel = tunnels.remove(at: index)
        handler.tunnels(self, didClose: error)
        if tunnel.saidGoAway {
            take(.ended(tunnel.number))
        } else {
            meet(error?.description ?? "closed by the server", .ended(tunnel.number))
        }
        endIfDone()
    }
}
