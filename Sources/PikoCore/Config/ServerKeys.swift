// SPDX-License-Identifier: MIT
// The keys of `piko server`.
// Defaults are those of ServerConfiguration. A table made on demand.

extension ServerConfiguration {
    public static var keys: [ConfigurationKey<Self>] {
        cluster.under("cluster", \.cluster)
            + proxy.under("proxy", \.proxy)
            + upstream.under("upstream", \.upstream)
            + admin.under("admin", \.admin)
            + SharedKeys.engine.under("engine", \.engine)
            + SharedKeys.log.under("log", \.log)
            + [SharedKeys.gracePeriod(\.gracePeriod)]
    }

    private static var proxy: [ConfigurationKey<ProxyConfiguration>] {
        let places: [ConfigurationKey<ProxyConfiguration>] = [
            .init("bind_addr", \.bindAddr, .address, "Where to listen for clients. Without a host: on all interfaces."),
            advertise(\.advertiseAddr),
        ]
        let own: [ConfigurationKey<ProxyConfiguration>] = [
            .init("timeout", \.timeout, .duration, "How long an upstream may take to its response head. Does not cut a body that flows. 0: no limit."),
            .init("load_balancing", \.loadBalancing, .loadBalancing, "local: this node's tunnels first, other nodes where it has none. cluster: all listeners alike."),
        ]
        return places + own.live()
            + SharedKeys.accessLog.under("access_log", \.accessLog)
            + http.live().under("http", \.http)
            + proxyLimits.live().under("limits", \.limits)
            + SharedKeys.auth.under("auth", \.auth)
            + SharedKeys.serverTLS.under("tls", \.tls)
    }

    private static var proxyLimits: [ConfigurationKey<ProxyLimits>] {
        [
            .init("connections", \.connections, .integer(0...limit), "Client connections at once; more get a 503. 0: no limit."),
            .init(
                "connections_per_ip", \.connectionsPerIP, .integer(0...limit),
                "Connections of one address, or one IPv6 /64, at once; more get a 429. Nodes of the cluster are not counted. 0: no limit."
            ),
            .init(
                "requests_per_second_per_ip", \.requestsPerSecondPerIP, .integer(0...1_000_000),
                "Requests of one address, or one IPv6 /64; more get a 429. Nodes of the cluster are not counted. 0: no limit."
            ),
        ]
    }

    private static var http: [ConfigurationKey<HTTPServerConfiguration>] {
        [
            .init("read_timeout", \.readTimeout, .duration, "How long a whole request may take, body included. 0: no limit."),
            .init("read_header_timeout", \.readHeaderTimeout, .duration, "How long a request head may take. 0: no limit."),
            .init("write_timeout", \.writeTimeout, .duration, "How long a whole response may take. 0: no limit."),
            .init("idle_timeout", \.idleTimeout, .duration, "How long a connection may wait for its next request, or a body stand still. 0: no limit."),
            .init("max_header_bytes", \.maxHeaderBytes, .integer(1024...16_777_216), "The longest request head; a longer one gets a 431."),
        ]
    }

    private static var upstream: [ConfigurationKey<UpstreamConfiguration>] {
        let keys: [ConfigurationKey<UpstreamConfiguration>] = [
            .init("bind_addr", \.bindAddr, .address, "Where to listen for agents. Without a host: on all interfaces."),
            ConfigurationKey("advertise_addr", \.advertiseAddr, .optionalAddress, "Accepted, without effect: agents know where they dial.").with(.noEffect),
        ]
        let tenants = ConfigurationKey("tenants", \UpstreamConfiguration.tenants, of: tenant, empty: TenantConfiguration(), "Tenants and their tokens.")
        return keys
            + limits.live().under("limits", \.limits)
            + rebalance.live().under("rebalance", \.rebalance)
            + SharedKeys.auth.under("auth", \.auth)
            + SharedKeys.agentsTLS.under("tls", \.tls)
            + [tenants.live()]
    }

    private static var limits: [ConfigurationKey<UpstreamLimits>] {
        [
            .init("sessions", \.sessions, .integer(0...limit), "Tunnels at once; more get a 503. 0: no limit."),
            .init("streams_per_session", \.streamsPerSession, .integer(0...limit), "Requests and connections at once in one tunnel. 0: no limit."),
        ]
    }

    private static var rebalance: [ConfigurationKey<RebalanceConfiguration>] {
        [
            .init("threshold", \.threshold, .decimal(0...1_000_000), "How far above the cluster's average a node's tunnels may be, 0.2 for 20 %. 0: never rebalance."),
            .init("shed_rate", \.shedRate, .decimal(0...1), "Share of the average that a node closes each second to rebalance."),
            .init("min_conns", \.minConns, .integer(0...limit), "Tunnels that a node has at least before it rebalances."),
        ]
    }

    private static var tenant: [ConfigurationKey<TenantConfiguration>] {
        [ConfigurationKey("id", \.id, .text, "The tenant's id.")] + SharedKeys.auth.under("auth", \.auth)
    }

    private static var admin: [ConfigurationKey<AdminConfiguration>] {
        let keys: [ConfigurationKey<AdminConfiguration>] = [
            .init("bind_addr", \.bindAddr, .address, "Where to listen for metrics, health and status. Without a host: on all interfaces."),
            advertise(\.advertiseAddr),
        ]
        return keys + SharedKeys.auth.under("auth", \.auth) + SharedKeys.serverTLS.under("tls", \.tls)
    }

    private static var cluster: [ConfigurationKey<ClusterConfiguration>] {
        let own: [ConfigurationKey<ClusterConfiguration>] = [
            .init("node_id", \.nodeID, .nodeID, "This node's id, which no other node has. Random by default."),
            .init("node_id_prefix", \.nodeIDPrefix, .nodeID, "What a random id begins with."),
        ]
        let joining: [ConfigurationKey<ClusterConfiguration>] = [
            .init("join", \.join, .texts, "Nodes of the cluster to join: addresses, or names that resolve to them. Without a port: the gossip port."),
            .init("join_timeout", \.joinTimeout, .positiveDuration, "How long to try to join at the start."),
            .init("abort_if_join_fails", \.abortIfJoinFails, .boolean, "End when no node could be joined at the start."),
        ]
        return own + joining + gossip.under("gossip", \.gossip)
    }

    private static var gossip: [ConfigurationKey<GossipConfiguration>] {
        [
            .init("bind_addr", \.bindAddr, .address, "Where to listen for other nodes, TCP and UDP. Without a host: on all interfaces."),
            advertise(\.advertiseAddr),
            .init("interval", \.interval, .positiveDuration, "Time between rounds of gossip."),
            .init("max_packet_size", \.maxPacketSize, .integer(256...65507), "The largest packet sent, in bytes."),
            ConfigurationKey(
                "keys", \.keys, .gossipSecrets,
                "Secrets shared by all nodes, 32 bytes each: the first encrypts, any of them opens. Without: nothing is encrypted, and whoever reaches the port is believed."
            ).live(),
        ]
    }

    private static func advertise<Root>(_ place: WritableKeyPath<Root, HostPort?>) -> ConfigurationKey<Root> {
        ConfigurationKey("advertise_addr", place, .optionalAddress, "The address that other nodes reach this one by. Derived from the bind address by default.")
    }

    /// The largest limit that makes sense to write.
    private static let limit = 100_000_000
}
