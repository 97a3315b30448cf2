// SPDX-License-Identifier: MIT
// One tunnel of a benchmark, with the echo service behind it.
// What it cannot do by itself it tells its owner: that it is connected, failed, or gone.
// Loop-confined; its BenchLoop holds it.

import PikoClient
import PikoCore
import PikoEngine

/// A tunnel that answers.
final class BenchUpstream: UpstreamTunnelHandler {
    private unowned let owner: BenchLoop
    private let endpoint: String
    private var tunnel: UpstreamTunnel?
    private var hasConnected = false

    init(endpoint: String, owner: BenchLoop) {
        self.endpoint = endpoint
        self.owner = owner
    }

    func start() {
        let connect = owner.configuration.connect
        var settings = UpstreamTunnelSettings(endpointID: endpoint, url: connect.upstreamURL)
        settings.firstTimeout = connect.timeout.wholeMilliseconds
        tunnel = UpstreamTunnel(settings, on: owner.loop, handler: self)
        tunnel?.start()
    }

    func stop() { tunnel?.stop() }

    func tunnel(_ tunnel: UpstreamTunnel, didAccept stream: Connection) {
        owner.openStreams += 1
        stream.handler = EchoStream { [unowned owner] in owner.openStreams -= 1 }
        stream.startReading()
    }

    func tunnelDidConnect(_ tunnel: UpstreamTunnel) {
        if !hasConnected { owner.tunnelIsReady() }
        hasConnected = true
    }

    func tunnel(_ tunnel: UpstreamTunnel, didLose reason: String, attempt: Int, retryIn milliseconds: UInt64) {
        owner.log.warn("not connected to server") {
            $0.add("endpoint_id", endpoint)
            $0.add("error", reason)
        }
    }

    func tunnel(_ tunnel: UpstreamTunnel, didFail failure: DialFailure) {
        owner.tunnelFailed("upstream \(endpoint): \(failure.description)")
    }

    func tunnelDidEnd(_ tunnel: UpstreamTunnel) { owner.tunnelDidEnd() }
}
