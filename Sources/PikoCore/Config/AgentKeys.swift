// SPDX-License-Identifier: MIT
// The keys of `piko agent` and of its listeners.
// Defaults are those of AgentConfiguration. Tables made on demand.

extension AgentConfiguration {
    public static var keys: [ConfigurationKey<Self>] {
        let listeners = ConfigurationKey(
            "listeners", \Self.listeners, of: ListenerConfiguration.keys, empty: ListenerConfiguration(), "Endpoints and the services behind them."
        )
        return connect.under("connect", \.connect)
            + server.under("server", \.server)
            + SharedKeys.engine.under("engine", \.engine)
            + SharedKeys.log.under("log", \.log)
            + [SharedKeys.gracePeriod(\.gracePeriod), listeners]
    }

    private static var connect: [ConfigurationKey<AgentConnectConfiguration>] {
        let keys: [ConfigurationKey<AgentConnectConfiguration>] = [
            .init("url", \.url, .url, "The upstream port of the server, which may be behind a path."),
            ConfigurationKey("token", \.token, .token, "Token for the server.").live(),
            ConfigurationKey("token_file", \.tokenFile, .path, "File with the token, read again on every dial. Excludes the token itself.").live(),
            ConfigurationKey("tenant_id", \.tenantID, .nodeID, "Tenant that the token is of.").live(),
            .init("timeout", \.timeout, .positiveDuration, "How long the first connection may take. A lost one is tried again for ever."),
            .init("tunnels", \.tunnels, .integer(1...8), "Tunnels of each listener, to different nodes where the cluster has them."),
            ConfigurationKey("proxy_url", \.proxyURL, .optionalProxy, SharedKeys.proxyHelp).live(),
        ]
        return keys + SharedKeys.clientTLS.under("tls", \.tls)
    }

    private static var server: [ConfigurationKey<AgentServerConfiguration>] {
        [
            .init("enabled", \.enabled, .boolean, "Serve metrics of this agent."),
            .init("bind_addr", \.bindAddr, .address, "Where to serve metrics. Without a host: on all interfaces."),
        ]
    }
}

extension ListenerConfiguration {
    /// Of an element of `listeners`.
    public static var keys: [ConfigurationKey<Self>] {
        let place: [ConfigurationKey<Self>] = [
            .init("endpoint_id", \.endpointID, .endpoint, "The endpoint to be."),
            .init("addr", \.addr, .text, "The service: a port, host:port, or for http a URL, whose path stands in front of every request's."),
            .init("protocol", \.protocol, .tunnelProtocol, "http or tcp."),
        ]
        return place + httpFlags + SharedKeys.clientTLS.under("tls", \.tls)
    }

    /// The flags of `piko agent http`.
    public static var httpFlags: [ConfigurationKey<Self>] {
        let timeout = ConfigurationKey("timeout", \Self.timeout, .positiveDuration, "How long the service may take to its response head.")
        return SharedKeys.accessLog.under("access_log", \.accessLog) + [timeout.live()] + httpClient.live().under("http_client", \.httpClient)
    }

    /// The flags of `piko agent tcp`.
    public static var tcpFlags: [ConfigurationKey<Self>] {
        [
            ConfigurationKey("level", \.level, .level, "The level of a connection's log lines."),
            ConfigurationKey("disable", \.disable, .boolean, "Log no connections."),
        ].under("access_log", \.accessLog)
            + [.init("timeout", \.timeout, .positiveDuration, "How long connecting to the service may take.")]
    }

    private static var httpClient: [ConfigurationKey<HTTPClientConfiguration>] {
        [
            .init("keep_alive_timeout", \.keepAliveTimeout, .duration, "How long a connection to the service is silent before TCP probes it. 0: 1m."),
            .init("idle_conn_timeout", \.idleConnTimeout, .duration, "How long an unused connection to the service is kept."),
            .init("max_idle_conns", \.maxIdleConns, .integer(-1...1_000_000), "Unused connections to the service that this listener keeps. -1: no limit."),
            ConfigurationKey("disable_compression", \.disableCompression, .boolean, "Accepted, without effect: nothing is ever compressed on the way.")
                .with(.noEffect),
        ]
    }
}
