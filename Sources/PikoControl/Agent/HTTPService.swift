// SPDX-License-Identifier: MIT
// An HTTP listener's service: each stream is a client's connection for the shared proxy, which reaches the service through a pool.
// Loop-confined.

import PikoCore
import PikoEngine

/// Serves streams by HTTP.
final class HTTPService: AgentService {
    private let proxy: HTTPProxy
    private let pool: ServicePool

    init(_ configuration: ListenerConfiguration, place: ConfiguredURL, owner: AgentLoop) {
        let log = owner.log.named("proxy")
        let timeout = configuration.timeout.wholeMilliseconds
        let client = configuration.httpClient
        var pooling = ServicePoolSettings(host: place.host, port: place.port, dialTimeout: timeout)
        pooling.idleTimeout = client.idleConnTimeout.wholeMilliseconds
        pooling.mostIdle = client.maxIdleConns
        pool = ServicePool(pooling, loop: owner.loop, log: log)
        var settings = HTTPProxySettings(role: .agent)
        settings.timeout = timeout
        proxy = HTTPProxy(
            settings, loop: owner.loop, index: owner.index, provider: pool, log: log,
            metrics: owner.metrics(for: configuration.endpointID),
            accessLog: AccessLog(log: log, configuration: configuration.accessLog))
        proxy.onConnectionEnd = { [unowned owner] in owner.streamDidEnd() }
    }

    func serve(_ stream: Connection) { proxy.serve(stream) }

    func drain() { proxy.drain() }

    func end() {
        proxy.abortAll()
        pool.drain()
    }

    var count: Int { proxy.connectionCount }
}
