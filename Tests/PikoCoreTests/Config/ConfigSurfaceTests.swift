// SPDX-License-Identifier: MIT
// The whole documented surface is there, with the documented defaults, and no two keys are the same.
// A key that comes or goes must change this file too.

import PikoCore
import Testing

struct ConfigSurfaceTests {
    private static let auth = [
        "hmac_secret_key", "rsa_public_key", "ecdsa_public_key", "audience", "issuer", "disable_disconnect_on_expiry", "leeway", "require_endpoints",
        "jwks.endpoint", "jwks.cache_ttl", "jwks.timeout",
    ].map { "auth.\($0)" }
    private static let serverTLS = [
        "cert", "key", "client_cas", "client.cert", "client.key", "client.root_cas", "client.server_name", "client.insecure_skip_verify",
    ].map { "tls.\($0)" }
    private static let clientTLS = ["cert", "key", "root_cas", "insecure_skip_verify"].map { "tls.\($0)" }
    private static let accessLog = [
        "level", "disable", "request_headers.allow_list", "request_headers.block_list", "response_headers.allow_list",
        "response_headers.block_list",
    ].map { "access_log.\($0)" }

    private func below(_ prefix: String, _ keys: [String]) -> [String] { keys.map { "\(prefix).\($0)" } }

    @Test("server: exactly the documented keys")
    func server() {
        let port = ["bind_addr", "advertise_addr"] + Self.auth + Self.serverTLS
        let http = ["read_timeout", "read_header_timeout", "write_timeout", "idle_timeout", "max_header_bytes"].map { "http.\($0)" }
        let proxyLimits = ["connections", "connections_per_ip", "requests_per_second_per_ip"].map { "limits.\($0)" }
        let upstream = ["rebalance.threshold", "rebalance.shed_rate", "rebalance.min_conns", "tenants", "limits.sessions", "limits.streams_per_session"]
        let cluster = [
            "node_id", "node_id_prefix", "join", "join_timeout", "abort_if_join_fails", "gossip.bind_addr", "gossip.advertise_addr",
            "gossip.interval", "gossip.max_packet_size", "gossip.keys",
        ]
        let expected = below("proxy", port + ["timeout", "load_balancing"] + proxyLimits + Self.accessLog + http) + below("upstream", port + upstream)
            + below("admin", port) + below("cluster", cluster) + ["log.level", "log.subsystems", "engine.loops", "grace_period"]
        #expect(ServerConfiguration.keys.map(\.path).sorted() == expected.sorted())
    }

    @Test("agent: exactly the documented keys")
    func agent() {
        let connect = ["url", "token", "token_file", "tenant_id", "timeout", "tunnels", "proxy_url"] + Self.clientTLS
        let expected = below("connect", connect)
            + ["listeners", "server.enabled", "server.bind_addr", "log.level", "log.subsystems", "engine.loops", "grace_period"]
        #expect(AgentConfiguration.keys.map(\.path).sorted() == expected.sorted())
        let client = ["keep_alive_timeout", "idle_conn_timeout", "max_idle_conns", "disable_compression"].map { "http_client.\($0)" }
        let listener = ["endpoint_id", "addr", "protocol", "timeout"] + Self.accessLog + client + Self.clientTLS
        #expect(ListenerConfiguration.keys.map(\.path).sorted() == listener.sorted())
    }

    @Test("forward and bench: exactly the documented keys")
    func others() {
        let connect = ["url", "token", "token_file", "timeout", "proxy_url"] + Self.clientTLS
        let forward = below("connect", connect) + ["ports", "log.level", "log.subsystems", "engine.loops", "grace_period"]
        #expect(ForwardConfiguration.keys.map(\.path).sorted() == forward.sorted())
        let bench = ["requests", "clients", "endpoints", "upstreams", "size", "connect.proxy_url", "connect.upstream_url", "connect.timeout"]
            + Self.clientTLS.map { "connect.\($0)" }
        #expect(BenchConfiguration.keys.map(\.path).sorted() == (bench + ["log.level", "log.subsystems", "engine.loops"]).sorted())
    }

    @Test("defaults: as documented")
    func defaults() {
        let help = FlagHelp.text(ServerConfiguration.keys, defaults: ServerConfiguration()).split(whereSeparator: \.isWhitespace).joined(separator: " ")
        for (flag, value) in [
            ("proxy.bind-addr ADDRESS", ":8000"), ("upstream.bind-addr ADDRESS", ":8001"), ("admin.bind-addr ADDRESS", ":8002"),
            ("cluster.gossip.bind-addr ADDRESS", ":8003"), ("proxy.timeout DURATION", "30s"), ("proxy.http.read-timeout DURATION", "0"),
            ("proxy.http.read-header-timeout DURATION", "10s"), ("proxy.http.idle-timeout DURATION", "5m"),
            ("proxy.http.max-header-bytes NUMBER", "1048576"), ("upstream.rebalance.shed-rate NUMBER", "0.005"),
            ("proxy.limits.connections NUMBER", "100000"), ("proxy.limits.connections-per-ip NUMBER", "0"),
            ("proxy.limits.requests-per-second-per-ip NUMBER", "0"), ("upstream.limits.sessions NUMBER", "100000"),
            ("upstream.limits.streams-per-session NUMBER", "16384"), ("cluster.join-timeout DURATION", "1m"), ("cluster.abort-if-join-fails", "true"), ("cluster.gossip.interval DURATION", "100ms"),
            ("cluster.gossip.max-packet-size NUMBER", "1400"), ("grace-period DURATION", "1m"), ("engine.loops NUMBER", "0"),
        ] {
            #expect(help.contains("--\(flag) (default: \(value))"), "\(flag)")
        }
    }

    @Test("keys: every flag reads the value that it shows")
    func roundTrip() throws {
        try roundTrip(ServerConfiguration.keys, ServerConfiguration())
        try roundTrip(AgentConfiguration.keys, AgentConfiguration())
        try roundTrip(ForwardConfiguration.keys, ForwardConfiguration())
        try roundTrip(BenchConfiguration.keys, BenchConfiguration())
        try roundTrip(ListenerConfiguration.httpFlags, ListenerConfiguration())
    }

    private func roundTrip<Root: Equatable>(_ keys: [ConfigurationKey<Root>], _ defaults: Root) throws {
        let help = FlagHelp.text(keys, defaults: defaults)
        let shown = help.split(separator: "\n").filter { $0.hasPrefix("  --") && $0.contains("(default: ") }
        #expect(!shown.isEmpty)
        for line in shown {
            let words = line.split(separator: " ")
            let value = try #require(line.split(separator: "(default: ").last?.split(separator: ")").first)
            var root = defaults
            try FlagReader(keys).apply(try FlagReader(keys).split(["\(words[0])=\(value)"]), to: &root)
            #expect(root == defaults, "\(line)")
        }
    }
}
