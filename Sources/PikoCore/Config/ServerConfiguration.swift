// SPDX-License-Identifier: MIT
// The whole configuration of a server node. Plain values with the documented defaults; the keys that fill them are in ServerKeys.
// A duration of zero and a limit of zero mean none, unless it says otherwise.

/// Everything `piko server` can be told.
public struct ServerConfiguration: Equatable, Sendable {
    public var proxy = ProxyConfiguration()
    public var upstream = UpstreamConfiguration()
    public var admin = AdminConfiguration()
    public var cluster = ClusterConfiguration()
    public var engine = EngineConfiguration()
    public var log = LogConfiguration()
    /// How long what runs may go on after SIGTERM.
    public var gracePeriod: Duration = .seconds(60)

    public init() {}
}

/// `proxy.*`: the port for downstream clients.
public struct ProxyConfiguration: Equatable, Sendable {
    public var bindAddr = HostPort(port: 8000)
    /// nil: derived from the bind address.
    public var advertiseAddr: HostPort?
    /// Until the response head of an upstream.
    public var timeout: Duration = .seconds(30)
    public var accessLog = AccessLogConfiguration()
    public var auth = AuthConfiguration()
    public var http = HTTPServerConfiguration()
    public var tls = ServerTLSConfiguration()
    public var limits = ProxyLimits()
    public var loadBalancing = LoadBalancing.local

    public init() {}
}

/// `proxy.load_balancing`.
public enum LoadBalancing: String, Sendable {
    /// A node's own tunnels first; another node only where it has none.
    case local
    /// All listeners of the cluster alike, wherever they are.
    case cluster
}

/// `proxy.http.*`.
public struct HTTPServerConfiguration: Equatable, Sendable {
    /// The whole request, body included.
    public var readTimeout: Duration = .zero
    /// The request head, from its first byte.
    public var readHeaderTimeout: Duration = .seconds(10)
    /// The whole response.
    public var writeTimeout: Duration = .zero
    /// Between requests on a connection.
    public var idleTimeout: Duration = .seconds(300)
    public var maxHeaderBytes = 1 << 20

    public init() {}
}

/// `proxy.limits.*`.
public struct ProxyLimits: Equatable, Sendable {
    /// Client connections of the node at once. Beyond: 503 and closed.
    public var connections = 100_000
    /// Of them, those of one address (of IPv6: one /64). Beyond: 429 and closed. None by default: behind a balancer all clients have one address.
    public var connectionsPerIP = 0
    /// Of one address, a second's worth at once. Beyond: 429. None by default, for the same reason.
    public var requestsPerSecondPerIP = 0

    public init() {}
}

/// `upstream.*`: the port for agents.
public struct UpstreamConfiguration: Equatable, Sendable {
    public var bindAddr = HostPort(port: 8001)
    public var advertiseAddr: HostPort?
    public var auth = AuthConfiguration()
    public var tls = ServerTLSConfiguration()
    public var rebalance = RebalanceConfiguration()
    public var tenants: [TenantConfiguration] = []
    public var limits = UpstreamLimits()

    public init() {}
}

/// `upstream.limits.*`.
public struct UpstreamLimits: Equatable, Sendable {
    /// Tunnels of the node at once. Beyond: 503.
    public var sessions = 100_000
    /// Streams open at once in one tunnel. Beyond, that tunnel is not selected.
    public var streamsPerSession = 16_384

    public init() {}
}

/// `upstream.rebalance.*`.
public struct RebalanceConfiguration: Equatable, Sendable {
    /// How far above the cluster's average a node may be. Zero: never rebalance.
    public var threshold = 0.0
    /// Share of the average to shed each second, 0 to 1.
    public var shedRate = 0.005
    public var minConns = 50

    public init() {}
}

/// One of `upstream.tenants`.
public struct TenantConfiguration: Equatable, Sendable {
    public var id = ""
    public var auth = AuthConfiguration()

    public init() {}
}

/// `admin.*`.
public struct AdminConfiguration: Equatable, Sendable {
    public var bindAddr = HostPort(port: 8002)
    public var advertiseAddr: HostPort?
    public var auth = AuthConfiguration()
    public var tls = ServerTLSConfiguration()

    public init() {}
}

/// `cluster.*`.
public struct ClusterConfiguration: Equatable, Sendable {
    /// Empty: `nodeIDPrefix` and a random part.
    public var nodeID = ""
    public var nodeIDPrefix = ""
    public var join: [String] = []
    public var joinTimeout: Duration = .seconds(60)
    public var abortIfJoinFails = true
    public var gossip = GossipConfiguration()

    public init() {}
}

/// `cluster.gossip.*`.
public struct GossipConfiguration: Equatable, Sendable {
    public var bindAddr = HostPort(port: 8003)
    public var advertiseAddr: HostPort?
    public var interval: Duration = .milliseconds(100)
    public var maxPacketSize = 1400
    /// The first seals what is sent, any opens what comes. Empty: nothing is sealed.
    public var keys: [GossipSecret] = []

    public init() {}
}

/// `engine.*`: of every command.
public struct EngineConfiguration: Equatable, Sendable {
    /// Event loops. Zero: one for each core.
    public var loops = 0

    public init() {}
}
