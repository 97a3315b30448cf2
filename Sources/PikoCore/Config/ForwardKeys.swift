// SPDX-License-Identifier: MIT
// The keys of `piko forward`.
// Defaults are those of ForwardConfiguration. Tables made on demand.

extension ForwardConfiguration {
    public static var keys: [ConfigurationKey<Self>] {
        let ports = ConfigurationKey("ports", \Self.ports, of: PortConfiguration.keys, empty: PortConfiguration(), "Local ports and the endpoints behind them.")
        return connect.under("connect", \.connect)
            + SharedKeys.engine.under("engine", \.engine)
            + SharedKeys.log.under("log", \.log)
            + [SharedKeys.gracePeriod(\.gracePeriod), ports]
    }

    private static var connect: [ConfigurationKey<ForwardConnectConfiguration>] {
        let keys: [ConfigurationKey<ForwardConnectConfiguration>] = [
            .init("url", \.url, .url, "The proxy port of the server, which may be behind a path."),
            .init("token", \.token, .token, "Token for the server."),
            .init("token_file", \.tokenFile, .path, "File with the token, read again for every connection. Excludes the token itself."),
            .init("timeout", \.timeout, .positiveDuration, "How long connecting to the server may take."),
            .init("proxy_url", \.proxyURL, .optionalProxy, SharedKeys.proxyHelp),
        ]
        return keys.live() + SharedKeys.clientTLS.under("tls", \.tls)
    }
}

extension PortConfiguration {
    /// Of an element of `ports`.
    static var keys: [ConfigurationKey<Self>] {
        [
            .init("addr", \.addr, .text, "Where to listen: a port or host:port."),
            .init("endpoint_id", \.endpointID, .endpoint, "The endpoint to forward to."),
        ]
    }
}
