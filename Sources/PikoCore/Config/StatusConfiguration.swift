// SPDX-License-Identifier: MIT
// The configuration and keys of `piko server status`.
// Flags only.

/// Whom `piko server status` asks.
public struct StatusConfiguration: Equatable, Sendable {
    /// The admin port.
    public var url = ConfiguredURL(host: "localhost", port: 8002)
    /// Sent as `Authorization: Bearer TOKEN`. Empty: none.
    public var token = ""
    /// A file with the token. Empty: none.
    public var tokenFile = ""
    public var tls = ClientTLSConfiguration()
    /// The node that is to answer instead. Empty: the one that is asked.
    public var forward = ""
    /// Only nodes of this status. Empty: all.
    public var status = ""

    public init() {}

    public static var keys: [ConfigurationKey<Self>] {
        let own: [ConfigurationKey<Self>] = [
            .init("server.url", \.url, .url, "The admin port of the server."),
            .init("server.token", \.token, .token, "Token for the server."),
            .init("server.token_file", \.tokenFile, .path, "File with the token. Excludes the token itself."),
            .init("forward", \.forward, .nodeID, "The node that is to answer, where all nodes are behind a load balancer."),
        ]
        return own + SharedKeys.clientTLS.under("tls", \.tls).under("server", \.self)
    }

    /// Of `cluster nodes`.
    public static var statusKey: ConfigurationKey<Self> {
        .init("status", \.status, .nodeStatus, "Only nodes of this status: active, unreachable or left.")
    }
}
