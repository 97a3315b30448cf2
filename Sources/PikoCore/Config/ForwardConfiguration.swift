// SPDX-License-Identifier: MIT
// The whole configuration of a forward.
// Plain values with the documented defaults; the keys that fill them are in ForwardKeys.

/// Everything `piko forward` can be told.
public struct ForwardConfiguration: Equatable, Sendable {
    public var ports: [PortConfiguration] = []
    public var connect = ForwardConnectConfiguration()
    public var engine = EngineConfiguration()
    public var log = LogConfiguration()
    /// How long what runs may go on after SIGTERM.
    public var gracePeriod: Duration = .seconds(60)

    public init() {}
}

/// One local port and the endpoint behind it.
public struct PortConfiguration: Equatable, Sendable {
    /// As written: a port or host:port. `listen` is what it means.
    public var addr = ""
    public var endpointID = ""

    public init() {}

    /// Where to listen; a port alone is on `localhost`. nil when it cannot be read (the configuration's check has refused that).
    public var listen: HostPort? { HostPort(addr, portAloneOn: "localhost") }
}

/// `connect.*` of a forward: the server's proxy port.
public struct ForwardConnectConfiguration: Equatable, Sendable {
    public var url = ConfiguredURL(host: "localhost", port: 8000)
    /// Sent as `Authorization: Bearer TOKEN`. Empty: none.
    public var token = ""
    /// A file with the token, read again for every connection. Empty: none.
    public var tokenFile = ""
    /// For one connection to the server.
    public var timeout: Duration = .seconds(30)
    /// As an agent's.
    public var proxyURL: OutboundProxy?
    public var tls = ClientTLSConfiguration()

    public init() {}
}
