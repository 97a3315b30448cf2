// SPDX-License-Identifier: MIT
// The keys of `piko bench http`.
// Defaults are those of BenchConfiguration. A table made on demand.

extension BenchConfiguration {
    public static var keys: [ConfigurationKey<Self>] {
        let load: [ConfigurationKey<Self>] = [
            .init("requests", \.requests, .integer(1...1_000_000_000), "Requests to send."),
            .init("clients", \.clients, .integer(1...20_000), "Connections that send them, one request at a time each."),
            .init("endpoints", \.endpoints, .integer(1...20_000), "Endpoints to send to."),
            .init("upstreams", \.upstreams, .integer(1...20_000), "Tunnels that answer, spread over the endpoints."),
            .init("size", \.size, .integer(0...67_108_864), "Bytes of a request's body, which come back."),
        ]
        let connect: [ConfigurationKey<BenchConnectConfiguration>] = [
            .init("proxy_url", \.proxyURL, .url, "The proxy port of the server."),
            .init("upstream_url", \.upstreamURL, .url, "The upstream port of the server."),
            .init("timeout", \.timeout, .positiveDuration, "How long a tunnel's start and a request may take."),
        ]
        return load
            + (connect + SharedKeys.clientTLS.under("tls", \.tls)).under("connect", \.connect)
            + SharedKeys.engine.under("engine", \.engine)
            + SharedKeys.log.under("log", \.log)
    }
}
