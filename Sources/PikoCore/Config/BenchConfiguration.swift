// SPDX-License-Identifier: MIT
// The configuration of `piko bench http`.
// Plain values with the documented defaults; the keys that fill them are in BenchKeys.

/// Everything `piko bench http` can be told.
public struct BenchConfiguration: Equatable, Sendable {
    public var requests = 100_000
    /// Connections to the proxy port, each with one request at a time.
    public var clients = 50
    public var endpoints = 100
    /// Tunnels, spread over the endpoints in turn.
    public var upstreams = 100
    /// Bytes of a request's body, which come back as the response's.
    public var size = 1024
    public var connect = BenchConnectConfiguration()
    public var engine = EngineConfiguration()
    public var log = LogConfiguration()

    public init() {}
}

/// `connect.*` of a benchmark.
public struct BenchConnectConfiguration: Equatable, Sendable {
    public var proxyURL = ConfiguredURL(host: "localhost", port: 8000)
    public var upstreamURL = ConfiguredURL(host: "localhost", port: 8001)
    /// Proxies on the way to these; nil: none. The environment's (`takeProxies`): `proxy_url` is a port of the server.
    public var proxyRoute: OutboundProxy?
    public var upstreamRoute: OutboundProxy?
    /// For each tunnel's start and each request.
    public var timeout: Duration = .seconds(5)
    public var tls = ClientTLSConfiguration()

    public init() {}
}
