// SPDX-License-Identifier: MIT
// An HTTP listener's service: each stream is a client's connection for the shared proxy, which reaches the service through a pool.
// Loop-confined.

import PikoCore
import PikoEngine

/// Serves streams by HTTP. The proxy and its pool are made with the first stream: an agent may have thousands of idle tunnels.
final class HTTPService: AgentService {
    private struct Parts {
        let proxy: HTTPProxy
        let pool: ConnectionPool
    }

    private var configuration: ListenerConfiguration
    private let place: ConfiguredURL
    private let tls: TLSIdentity?
    private unowned let owner: AgentLoop
    private var parts: Parts?

    /// `tls`: towards a service of https.
    init(_ configuration: ListenerConfiguration, place: ConfiguredURL, tls: TLSIdentity?, owner: AgentLoop) {
        self.tls = tls
        self.configuration = configuration
        self.place = place
        self.owner = owner
    }

    private func makeParts() -> Parts {
        let log = owner.log.named("proxy")
        let pool = ConnectionPool(pooling, loop: owner.loop, log: log)
        pool.onUnreached = { [unowned owner, endpoint = configuration.endpointID] in owner.faults.countService(of: endpoint) }
        let proxy = HTTPProxy(
            settings, loop: owner.loop, index: owner.index, provider: pool, log: log,
            metrics: owner.metrics(for: configuration.endpointID),
            accessLog: AccessLog(log: log, configuration: configuration.accessLog))
        proxy.heads = owner.heads
        proxy.onConnectionEnd = { [unowned owner] in owner.streamDidEnd() }
        return Parts(proxy: proxy, pool: pool)
    }

    private var settings: HTTPProxySettings {
        var settings = HTTPProxySettings(role: .agent)
        settings.timeout = configuration.timeout.wholeMilliseconds
        settings.pathPrefix = place.path
        return settings
    }

    private var pooling: ConnectionPoolSettings {
        let client = configuration.httpClient
        var pooling = ConnectionPoolSettings(
            host: place.host, port: place.port, dialTimeout: configuration.timeout.wholeMilliseconds)
        pooling.idleTimeout = client.idleConnTimeout.wholeMilliseconds
        pooling.mostIdle = client.maxIdleConns
        pooling.tls = tls
        pooling.probeIdle = (client.keepAliveTimeout.wholeMilliseconds + 999) / 1000
        return pooling
    }

    func configure(_ configuration: ListenerConfiguration) {
        self.configuration = configuration
        guard let parts else { return }
        parts.proxy.configure(settings)
        parts.proxy.accessLog?.configure(configuration.accessLog)
        parts.pool.configure(pooling)
    }

    func serve(_ stream: Connection) {
        let parts = parts ?? makeParts()
        self.parts = parts
        parts.proxy.serve(stream)
    }

    func drain() { parts?.proxy.drain() }

    func end() {
        parts?.proxy.abortAll()
        parts?.pool.drain()
    }

    var count: Int { parts?.proxy.connectionCount ?? 0 }
}
