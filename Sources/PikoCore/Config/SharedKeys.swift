// SPDX-License-Identifier: MIT
// The keys that several commands and sections have: logs, engine, tokens, TLS.
// Tables made on demand, by name below their section.

enum SharedKeys {
    static var log: [ConfigurationKey<LogConfiguration>] {
        let keys: [ConfigurationKey<LogConfiguration>] = [
            .init("level", \.level, .level, "Lines below this level are not logged: debug, info, warn or error."),
            .init("subsystems", \.subsystems, .texts, "Subsystems that log everything, whatever log.level says, such as 'proxy'."),
        ]
        return keys.live()
    }

    static var accessLog: [ConfigurationKey<AccessLogConfiguration>] {
        let keys: [ConfigurationKey<AccessLogConfiguration>] = [
            .init("level", \.level, .level, "The level of access log lines. Server errors are logged as warn at least."),
            .init("disable", \.disable, .boolean, "Log no requests."),
        ]
        let filters = headerFilter("request").under("request_headers", \AccessLogConfiguration.requestHeaders)
            + headerFilter("response").under("response_headers", \.responseHeaders)
        return (keys + filters).live()
    }

    private static func headerFilter(_ side: String) -> [ConfigurationKey<HeaderFilterConfiguration>] {
        [
            .init(
                "allow_list", \.allowList, .fieldNames,
                "The only \(side) headers that are logged. Credentials named here are shown. Excludes the block list."
            ),
            .init("block_list", \.blockList, .fieldNames, "The \(side) headers that are not logged. Excludes the allow list."),
        ]
    }

    static var engine: [ConfigurationKey<EngineConfiguration>] {
        [.init("loops", \.loops, .integer(0...1024), "Event loops, one thread each. 0: one for each core.")]
    }

    static var auth: [ConfigurationKey<AuthConfiguration>] {
        let keys: [ConfigurationKey<AuthConfiguration>] = [
            .init("hmac_secret_key", \.hmacSecretKey, .secret("a secret"), "Secret that verifies tokens signed with HS256, HS384 or HS512."),
            .init("rsa_public_key", \.rsaPublicKey, .secret("a PEM public key or certificate"), "PEM public key that verifies tokens signed with RS256, RS384 or RS512."),
            .init(
                "ecdsa_public_key", \.ecdsaPublicKey, .secret("a PEM public key or certificate"),
                "PEM public key that verifies tokens signed with ES256, ES384 or ES512."
            ),
            .init("audience", \.audience, .text.neverEmpty("an audience"), "The audience that a token must be for."),
            .init("issuer", \.issuer, .text.neverEmpty("an issuer"), "The issuer that a token must be from."),
            .init(
                "disable_disconnect_on_expiry", \.disableDisconnectOnExpiry, .boolean,
                "Keep a connection whose token has expired since it began."
            ),
            .init("leeway", \.leeway, .duration, "By how much clocks may differ where a token's times are checked."),
            .init("require_endpoints", \.requireEndpoints, .boolean, "A token without piko.endpoints permits none, instead of all."),
        ]
        return (keys + jwks.under("jwks", \.jwks)).live()
    }

    private static var jwks: [ConfigurationKey<JWKSConfiguration>] {
        [
            .init("endpoint", \.endpoint, .text.neverEmpty("an http, https or file URL"), "Where the JSON Web Key Set is: an http, https or file URL. Excludes the other keys."),
            .init("cache_ttl", \.cacheTTL, .duration, "How long the key set is used before it is read again. 0: 1h."),
            .init("timeout", \.timeout, .positiveDuration, "How long reading the key set may take."),
        ]
    }

    /// Of a port.
    private static var portTLS: [ConfigurationKey<ServerTLSConfiguration>] {
        [
            .init("cert", \.cert, .path, "PEM certificate of this port. With it the port speaks TLS."),
            .init("key", \.key, .path, "PEM key of the certificate."),
            .init("client_cas", \.clientCAs, .path, "PEM authorities that client certificates must be from. With it clients need one."),
        ]
    }

    /// Of a port that nodes dial of each other.
    static var serverTLS: [ConfigurationKey<ServerTLSConfiguration>] { portTLS + nodeTLS.under("client", \.client) }

    /// Of a port that nodes do not dial of each other.
    static var agentsTLS: [ConfigurationKey<ServerTLSConfiguration>] {
        let nodes = nodeTLS.map { $0.with(.noEffect, "Accepted, without effect: nodes do not dial each other here.") }
        return portTLS + nodes.under("client", \.client)
    }

    private static var nodeTLS: [ConfigurationKey<ClientTLSConfiguration>] {
        let serverName = ConfigurationKey<ClientTLSConfiguration>(
            "server_name", \.serverName, .text, "The name that another node's certificate must have, instead of the one dialled."
        )
        return clientTLS + [serverName]
    }

    /// Of something that dials.
    static var clientTLS: [ConfigurationKey<ClientTLSConfiguration>] {
        [
            .init("cert", \.cert, .path, "PEM certificate to present."),
            .init("key", \.key, .path, "PEM key of the certificate."),
            .init("root_cas", \.rootCAs, .path, "PEM authorities to trust instead of the system's."),
            .init("insecure_skip_verify", \.insecureSkipVerify, .boolean, "Accept any certificate."),
        ]
    }

    static var proxyHelp: String {
        "HTTP proxy to reach the server through, with user and password where it wants them. By default what HTTPS_PROXY or HTTP_PROXY and NO_PROXY say."
    }

    static func gracePeriod<Root>(_ place: WritableKeyPath<Root, Duration>) -> ConfigurationKey<Root> {
        ConfigurationKey("grace_period", place, .positiveDuration, "How long what is under way may go on after SIGTERM or SIGINT.").live()
    }
}
