// SPDX-License-Identifier: MIT
// One listener of an agent: a tunnel for its endpoint, and what is done with the streams that come through it. Loop-confined.
// HTTP streams go to the shared proxy, TCP streams to a connection of their own.

import PikoClient
import PikoCore
import PikoEngine

/// An endpoint of this agent.
final class AgentListener: UpstreamTunnelHandler {
    private let configuration: ListenerConfiguration
    private let log: Log
    private unowned let owner: AgentLoop
    private var tunnel: UpstreamTunnel?
    private let service: AgentService
    private var lastLoss: String?

    init(_ configuration: ListenerConfiguration, owner: AgentLoop) {
        self.configuration = configuration
        self.owner = owner
        log = owner.log.named("agent")
        service = Self.service(configuration, owner: owner)
    }

    private static func service(_ configuration: ListenerConfiguration, owner: AgentLoop) -> any AgentService {
        guard let place = configuration.service else { preconditionFailure("the configuration's check admits no such address") }
        return switch configuration.protocol {
        case .http: HTTPService(configuration, place: place, owner: owner)
        case .tcp: TCPService(configuration, place: place, owner: owner)
        }
    }

    func start() {
        let connect = owner.configuration.connect
        var settings = UpstreamTunnelSettings(endpointID: configuration.endpointID, url: connect.url)
        settings.token = connect.token
        settings.tenantID = connect.tenantID
        settings.firstTimeout = connect.timeout.wholeMilliseconds
        settings.attemptTimeout = min(settings.attemptTimeout, settings.firstTimeout)
        tunnel = UpstreamTunnel(settings, on: owner.loop, handler: self)
        tunnel?.start()
    }

    /// Streams that have not closed yet, by the session's count and by the service's.
    var streamCount: Int { max(tunnel?.streamCount ?? 0, service.count) }

    func drain() {
        tunnel?.goAway()
        service.drain()
    }

    func end() {
        tunnel?.stop()
        service.end()
    }

    /// Cuts a tunnel that did not end by itself.
    func cut() { tunnel?.abort() }

    func tunnel(_ tunnel: UpstreamTunnel, didAccept stream: Connection) { service.serve(stream) }

    func tunnelDidConnect(_ tunnel: UpstreamTunnel) {
        lastLoss = nil
        log.info("connected to server") {
            $0.add("endpoint_id", configuration.endpointID)
            $0.add("url", owner.configuration.connect.url.description)
        }
    }

    /// A loss is logged at once, its repetition at a decent interval.
    func tunnel(_ tunnel: UpstreamTunnel, didLose reason: String, attempt: Int, retryIn milliseconds: UInt64) {
        let isNews = lastLoss != reason || attempt % 20 == 0
        lastLoss = reason
        log.write(isNews ? .warn : .debug, "not connected to server") {
            $0.add("endpoint_id", configuration.endpointID)
            $0.add("error", reason)
            $0.add("attempt", attempt)
            $0.add("retry_in_ms", milliseconds)
        }
    }

    func tunnel(_ tunnel: UpstreamTunnel, didFail failure: DialFailure) {
        log.error("server not reached") {
            $0.add("endpoint_id", configuration.endpointID)
            $0.add("url", owner.configuration.connect.url.description)
            $0.add("error", failure.description)
        }
        owner.fail()
    }

    func tunnelDidEnd(_ tunnel: UpstreamTunnel) {
        self.tunnel = nil
        owner.tunnelDidEnd()
    }
}
