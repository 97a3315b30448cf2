// SPDX-License-Identifier: MIT
// One tunnel of a benchmark, with the echo service behind it.
// What it cannot do by itself it tells its owner: that it is connected, failed, or gone.
// Loop-confined; its BenchLoop holds it.

import PikoClient
import PikoCore
import PikoEngine

/// A tunnel that answers.
final class BenchUpstream: UpstreamTunnelsHandler {
    private unowned let owner: BenchLoop
    private let endpoint: String
    private var tunnels: UpstreamTunnels?
    private var hasConnected = false

    init(endpoint: String, owner: BenchLoop) {
        self.endpoint = endpoint
        self.owner = owner
    }

    func start() {
        let connect = owner.configuration.connect
        var settings = UpstreamTunnelSettings(endpointID: endpoint, url: connect.upstreamURL)
        settings.proxy = connect.upstreamRoute
        settings.tls = owner.tls?.source
        settings.firstTimeout = connect.timeout.wholeMilliseconds
        tunnels = UpstreamTunnels(settings, on: owner.loop, handler: self)
        tunnels?.start()
    }

    func stop() { tunnels?.stop() }

    func tunnels(_ tunnels: UpstreamTunnels, didAccept stream: Connection) {
        owner.openStreams += 1
        stream.handler = EchoStream { [unowned owner] in owner.openStreams -= 1 }
        stream.startReading()
    }

    func tunnels(_ tunnels: UpstreamTunnels, didConnectTo node: String?) {
        if !hasConnected { owner.tunnelIsReady() }
        hasConnected = true
    }

    func tunnels(_ tunnels: UpstreamTunnels, didMeet trouble: UpstreamTrouble) {
        owner.log.debug("not connected to server") {
            $0.add("endpoint_id", endpoint)
            $0.add("error", trouble.reason)
        }
    }

    func tunnels(_ tunnels: UpstreamTunnels, didFail failure: DialFailure) {
        owner.tunnelFailed("upstream \(endpoint): \(failure.description)")
    }

    func tunnelsDidEnd(_ tunnels: UpstreamTunnels) { owner.tunnelDidEnd() }
}
