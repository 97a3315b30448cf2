// SPDX-License-Identifier: MIT
// One listener of an agent: the tunnels for its endpoint, and what is done with the streams that come through it. Loop-confined.
// HTTP streams go to the shared proxy, TCP streams to a connection of their own.

import PikoClient
import PikoCore
import PikoEngine

/// An endpoint of this agent.
final class AgentListener: UpstreamTunnelsHandler {
    /// Milliseconds between two log lines that say the same.
    private static let repetition: UInt64 = 60_000

    /// Index in the agent's configuration.
    let place: Int
    private var configuration: ListenerConfiguration
    private let log: Log
    private unowned let owner: AgentLoop
    private var tunnels: UpstreamTunnels?
    private let service: AgentService
    private var lastTrouble: String?
    private var lastTroubleAt: UInt64 = 0

    init(_ configuration: ListenerConfiguration, at place: Int, owner: AgentLoop) {
        self.place = place
        self.configuration = configuration
        self.owner = owner
        log = owner.log.named("agent")
        service = Self.service(configuration, at: place, owner: owner)
    }

    private static func service(_ configuration: ListenerConfiguration, at index: Int, owner: AgentLoop) -> any AgentService {
        guard let place = configuration.service else { preconditionFailure("the configuration's check admits no such address") }
        return switch configuration.protocol {
        case .http: HTTPService(configuration, place: place, tls: owner.tls.services[index], owner: owner)
        case .tcp: TCPService(configuration, place: place, owner: owner)
        }
    }

    func start() {
        tunnels = UpstreamTunnels(settings, on: owner.loop, handler: self)
        tunnels?.start()
    }

    /// Other limits and times for the service; what says who we are, for the dials to come.
    func configure(_ configuration: ListenerConfiguration) {
        self.configuration = configuration
        service.configure(configuration)
        tunnels?.settings = settings
    }

    private var settings: UpstreamTunnelSettings {
        let connect = owner.configuration.connect
        var settings = UpstreamTunnelSettings(endpointID: configuration.endpointID, url: connect.url)
        settings.tls = owner.tls.server?.source
        settings.token = connect.token
        settings.tokenFile = connect.tokenFile
        settings.tenantID = connect.tenantID
        settings.proxy = connect.proxyURL
        settings.tunnels = connect.tunnels
        settings.servesHTTP = configuration.protocol == .http
        settings.firstTimeout = connect.timeout.wholeMilliseconds
        settings.attemptTimeout = min(settings.attemptTimeout, settings.firstTimeout)
        return settings
    }

    /// Streams that have not closed yet, by the sessions' count and by the service's, and tunnels on which one may still come.
    var busyCount: Int { max(tunnels?.busyCount ?? 0, service.count) }

    func drain() {
        tunnels?.goAway()
        service.drain()
    }

    func end() {
        tunnels?.stop()
        service.end()
    }

    /// Cuts the tunnels that did not end by themselves.
    func cut() { tunnels?.abort() }

    func tunnels(_ tunnels: UpstreamTunnels, didAccept stream: Connection) { service.serve(stream) }

    func tunnels(_ tunnels: UpstreamTunnels, didConnectTo node: String?) {
        lastTrouble = nil
        log.info("connected to server") {
            $0.add("endpoint_id", configuration.endpointID)
            $0.add("url", owner.configuration.connect.url.description)
            if let node { $0.add("node_id", node) }
        }
    }

    /// Trouble is logged at once, its repetition at a decent interval. While another tunnel serves it is no reason for a warning.
    func tunnels(_ tunnels: UpstreamTunnels, didMeet trouble: UpstreamTrouble) {
        if let failure = trouble.failure { owner.faults.count(failure) }
        let isNews = lastTrouble != trouble.reason || owner.loop.now &- lastTroubleAt >= Self.repetition
        if isNews {
            lastTrouble = trouble.reason
            lastTroubleAt = owner.loop.now
        }
        let level = trouble.serving > 0 ? LogLevel.info : .warn
        log.write(isNews ? level : .debug, trouble.serving > 0 ? "a tunnel is missing" : "not connected to server") {
            $0.add("endpoint_id", configuration.endpointID)
            $0.add("error", trouble.reason)
            $0.add("attempt", trouble.attempt)
            if let wait = trouble.retryIn { $0.add("retry_in_ms", wait) }
            $0.add("tunnels", trouble.serving)
        }
    }

    func tunnelsDidMeetFault(_ tunnels: UpstreamTunnels) { owner.faults.count(SessionFault.frame) }

    func tunnels(_ tunnels: UpstreamTunnels, didClose error: EngineError?) {
        if let fault = SessionFault(endedBy: error) { owner.faults.count(fault) }
    }

    func tunnels(_ tunnels: UpstreamTunnels, didFail failure: DialFailure) {
        owner.faults.count(failure)
        log.error("server not reached") {
            $0.add("endpoint_id", configuration.endpointID)
            $0.add("url", owner.configuration.connect.url.description)
            $0.add("error", failure.description)
        }
        owner.fail()
    }

    func tunnelsDidServe(_ tunnels: UpstreamTunnels) { owner.streamDidEnd() }

    func tunnelsDidEnd(_ tunnels: UpstreamTunnels) {
        self.tunnels = nil
        owner.listenerDidEnd()
    }
}
