// SPDX-License-Identifier: MIT
// What must hold between keys, checked once file and flags are in.
// Pure; the first mistake is reported.

extension ServerConfiguration {
    public func check() throws(ConfigurationError) {
        try proxy.accessLog.check("proxy.access_log")
        try proxy.auth.check("proxy.auth")
        try upstream.auth.check("upstream.auth")
        try admin.auth.check("admin.auth")
        try upstream.checkTenants()
        try cluster.check("cluster")
        try proxy.tls.check("proxy.tls")
        try upstream.tls.check("upstream.tls")
        try admin.tls.check("admin.tls")
    }
}

extension ClusterConfiguration {
    /// The nodes to join, names unresolved; those without a port at `defaultPort`.
    public func seeds(defaultPort: UInt16) -> [HostPort] { join.compactMap { Self.seed($0, defaultPort) } }

    fileprivate func check(_ name: String) throws(ConfigurationError) {
        for text in join where Self.seed(text, 1) == nil {
            throw .expected("a host or host:port", at: "\(name).join", got: text)
        }
    }

    private static func seed(_ text: String, _ defaultPort: UInt16) -> HostPort? {
        let isBareIPv6 = text.split(separator: ":", omittingEmptySubsequences: false).count > 2 && !text.hasPrefix("[")
        let place = HostPort(text) ?? HostPort(isBareIPv6 ? "[\(text)]:\(defaultPort)" : "\(text):\(defaultPort)")
        return place.flatMap { $0.host.isEmpty ? nil : $0 }
    }
}

extension AuthConfiguration {
    fileprivate func check(_ name: String) throws(ConfigurationError) {
        // Who says what a token must claim wants one to be asked for; without a key the port would be open to everybody.
        if !isEnabled, let rule = ruleOfClaims { throw ConfigurationError("\(name): expected a key or jwks.endpoint, since \(rule) is set") }
        guard !jwks.endpoint.isEmpty else { return }
        if hasOwnKey { throw ConfigurationError("\(name).jwks.endpoint: expected no other key beside it") }
        switch KeySetPlace(jwks.endpoint) {
        case nil: throw .expected("an http, https or file URL", at: "\(name).jwks.endpoint", got: jwks.endpoint)
        case .page, .file: break
        }
    }

    /// The first key that says what a token must claim.
    private var ruleOfClaims: String? {
        if !audience.isEmpty { return "audience" }
        if !issuer.isEmpty { return "issuer" }
        return requireEndpoints ? "require_endpoints" : nil
    }
}

extension UpstreamConfiguration {
    fileprivate func checkTenants() throws(ConfigurationError) {
        var seen: Set<String> = []
        for (index, tenant) in tenants.enumerated() {
            let name = "upstream.tenants[\(index)]"
            if tenant.id.isEmpty { throw ConfigurationError("\(name).id: expected a tenant's id") }
            guard seen.insert(tenant.id).inserted else { throw ConfigurationError("\(name).id: expected another than an earlier tenant's, got \"\(tenant.id)\"") }
            if !tenant.auth.isEnabled { throw ConfigurationError("\(name).auth: expected a key or jwks.endpoint") }
            try tenant.auth.check("\(name).auth")
        }
    }
}

/// `section` is where both keys are.
private func checkToken(_ token: String, file: String, _ section: String) throws(ConfigurationError) {
    if !token.isEmpty, !file.isEmpty { throw ConfigurationError("\(section).token_file: expected no \(section).token beside it") }
}

extension StatusConfiguration {
    public func check() throws(ConfigurationError) {
        try tls.check("server.tls")
        try checkToken(token, file: tokenFile, "server")
    }
}

extension AgentConfiguration {
    public func check() throws(ConfigurationError) {
        try connect.tls.check("connect.tls")
        try checkToken(connect.token, file: connect.tokenFile, "connect")
        for (index, listener) in listeners.enumerated() { try listener.check("listeners[\(index)]") }
    }
}

extension ListenerConfiguration {
    /// Takes the two arguments of `agent http` and `agent tcp`.
    public mutating func set(endpoint: String, addr: String, _ tunnelProtocol: TunnelProtocol) throws(ConfigurationError) {
        let type = ValueType<String>.endpoint
        guard let endpointID = type.read([endpoint]) else { throw .expected(type.expected, at: "ENDPOINT", got: endpoint) }
        self.endpointID = endpointID
        self.addr = addr
        self.protocol = tunnelProtocol
        try checkService("ADDR")
        try accessLog.check("--access-log")
    }

    /// `name` is what errors call this listener.
    func check(_ name: String) throws(ConfigurationError) {
        if endpointID.isEmpty { throw ConfigurationError("\(name).endpoint_id: expected an endpoint id") }
        try checkService("\(name).addr")
        try accessLog.check("\(name).access_log")
        try tls.check("\(name).tls")
    }

    private func checkService(_ name: String) throws(ConfigurationError) {
        guard let service, service.port > 0 else {
            let expected = `protocol` == .http ? "a port, host:port or URL" : "a port or host:port"
            throw .expected(expected, at: name, got: addr)
        }
    }
}

extension ForwardConfiguration {
    public func check() throws(ConfigurationError) {
        try connect.tls.check("connect.tls")
        try checkToken(connect.token, file: connect.tokenFile, "connect")
        for (index, port) in ports.enumerated() { try port.check("ports[\(index)]") }
    }
}

extension PortConfiguration {
    /// Takes the two arguments of `forward tcp`.
    public init(addr: String, endpoint: String) throws(ConfigurationError) {
        let type = ValueType<String>.endpoint
        guard let endpointID = type.read([endpoint]) else { throw .expected(type.expected, at: "ENDPOINT", got: endpoint) }
        self.init()
        self.endpointID = endpointID
        self.addr = addr
        if listen == nil { throw .expected("a port or host:port", at: "ADDR", got: addr) }
    }

    /// `name` is what errors call this port.
    func check(_ name: String) throws(ConfigurationError) {
        if endpointID.isEmpty { throw ConfigurationError("\(name).endpoint_id: expected an endpoint id") }
        if listen == nil { throw .expected("a port or host:port", at: "\(name).addr", got: addr) }
    }
}

extension BenchConfiguration {
    public func check() throws(ConfigurationError) {
        try connect.tls.check("connect.tls")
        if upstreams < endpoints, upstreams > 0 {
            throw ConfigurationError("upstreams: expected at least as many as endpoints (\(endpoints)), got \(upstreams)")
        }
    }
}

extension AccessLogConfiguration {
    fileprivate func check(_ name: String) throws(ConfigurationError) {
        try requestHeaders.check("\(name).request_headers")
        try responseHeaders.check("\(name).response_headers")
    }
}

extension HeaderFilterConfiguration {
    fileprivate func check(_ name: String) throws(ConfigurationError) {
        if !allowList.isEmpty, !blockList.isEmpty {
            throw ConfigurationError("\(name): expected allow_list or block_list, not both")
        }
    }
}

extension ServerTLSConfiguration {
    fileprivate func check(_ name: String) throws(ConfigurationError) {
        try checkPair(cert, key, name)
        if cert.isEmpty, !clientCAs.isEmpty { throw ConfigurationError("\(name).cert: expected a file, since client_cas is set") }
        try client.check("\(name).client")
    }
}

extension ClientTLSConfiguration {
    /// `name` is what errors call this section.
    public func check(_ name: String) throws(ConfigurationError) { try checkPair(cert, key, name) }
}

private func checkPair(_ cert: String, _ key: String, _ name: String) throws(ConfigurationError) {
    if cert.isEmpty, !key.isEmpty { throw ConfigurationError("\(name).cert: expected a file, since key is set") }
    if key.isEmpty, !cert.isEmpty { throw ConfigurationError("\(name).key: expected a file, since cert is set") }
}
