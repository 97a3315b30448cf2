// SPDX-License-Identifier: MIT
// The whole configuration of an agent. Plain values with the documented defaults; the keys that fill them are in AgentKeys.
// A duration of zero means no limit, unless it says otherwise.

/// Everything `piko agent` can be told.
public struct AgentConfiguration: Equatable, Sendable {
    public var listeners: [ListenerConfiguration] = []
    public var connect = AgentConnectConfiguration()
    public var server = AgentServerConfiguration()
    public var engine = EngineConfiguration()
    public var log = LogConfiguration()
    /// How long what runs may go on after SIGTERM.
    public var gracePeriod: Duration = .seconds(60)

    public init() {}
}

/// One endpoint and the service behind it.
public struct ListenerConfiguration: Equatable, Sendable {
    public enum TunnelProtocol: String, CaseIterable, Sendable {
        case http, tcp
    }

    public var endpointID = ""
    /// As written: a port, host:port, or for http a URL. `service` is what it means.
    public var addr = ""
    public var `protocol` = TunnelProtocol.http
    /// http: until the response head of the service. tcp: until the connection to it is open.
    public var timeout: Duration = .seconds(10)
    public var accessLog = AccessLogConfiguration()
    public var httpClient = HTTPClientConfiguration()
    public var tls = ClientTLSConfiguration()

    public init() {}

    /// Where the service is: `addr` read by the rules of `protocol`. nil when it cannot be (the configuration's check has refused that).
    /// A port alone is on `localhost`; without a scheme it is http. For tcp the scheme and path mean nothing.
    public var service: ConfiguredURL? {
        if let place = HostPort(addr, portAloneOn: "localhost") {
            return ConfiguredURL(host: place.host.isEmpty ? "localhost" : place.host, port: place.port)
        }
        return `protocol` == .http ? ConfiguredURL(addr) : nil
    }
}

/// `http_client.*` of a listener: the pool of connections to the service.
public struct HTTPClientConfiguration: Equatable, Sendable {
    /// Of silence before TCP's keep-alive probes.
    public var keepAliveTimeout: Duration = .seconds(30)
    /// How long a connection waits in the pool.
    public var idleConnTimeout: Duration = .seconds(90)
    /// Connections that wait in the pool. -1: no limit.
    public var maxIdleConns = 100
    /// Accepted, without effect: nothing is ever compressed or decompressed on the way.
    public var disableCompression = false

    public init() {}
}

/// `connect.*` of an agent: the server's upstream port.
public struct AgentConnectConfiguration: Equatable, Sendable {
    public var url = ConfiguredURL(host: "localhost", port: 8001)
    /// Sent as `Authorization: Bearer TOKEN`. Empty: none.
    public var token = ""
    /// A file with the token, read again on every dial. Empty: none.
    public var tokenFile = ""
    /// Sent as `x-piko-tenant-id`. Empty: none.
    public var tenantID = ""
    /// For the first connection.
    public var timeout: Duration = .seconds(30)
    /// Tunnels to different nodes for each listener, where the cluster has as many.
    public var tunnels = 2
    /// On the way to the server; nil: none. Where it is not configured, what the environment says (`takeProxy`).
    public var proxyURL: OutboundProxy?
    public var tls = ClientTLSConfiguration()

    public init() {}
}

/// `server.*` of an agent: its port for metrics.
public struct AgentServerConfiguration: Equatable, Sendable {
    public var enabled = false
    public var bindAddr = HostPort(port: 5000)

    public init() {}
}
