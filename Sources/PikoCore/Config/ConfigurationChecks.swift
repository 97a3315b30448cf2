// SPDX-License-Identifier: MIT
// What must hold between keys, checked once file and flags are in. Pure; the first mistake is reported.

extension ServerConfiguration {
    public func check() throws(ConfigurationError) {
        try proxy.accessLog.check("proxy.access_log")
    }
}

extension AgentConfiguration {
    public func check() throws(ConfigurationError) {
        try connect.url.check("connect.url")
        for (index, listener) in listeners.enumerated() { try listener.check("listeners[\(index)]") }
    }
}

extension ListenerConfiguration {
    /// `name` is what errors call this listener; empty for the one of the command line, whose parts are the arguments.
    public func check(_ name: String) throws(ConfigurationError) {
        let prefix = name.isEmpty ? "" : "\(name)."
        if endpointID.isEmpty { throw ConfigurationError("\(prefix)endpoint_id: expected an endpoint id") }
        guard let service else {
            let expected = `protocol` == .http ? "a port, host:port or URL" : "a port or host:port"
            throw .expected(expected, at: "\(prefix)addr", got: addr)
        }
        try service.check("\(prefix)addr")
        try accessLog.check("\(prefix)access_log")
    }
}

extension ForwardConfiguration {
    public func check() throws(ConfigurationError) {
        try connect.url.check("connect.url")
        for (index, port) in ports.enumerated() { try port.check("ports[\(index)]") }
    }
}

extension PortConfiguration {
    /// `name` is what errors call this port; empty for the one of the command line, whose parts are the arguments.
    public func check(_ name: String) throws(ConfigurationError) {
        let prefix = name.isEmpty ? "" : "\(name)."
        if endpointID.isEmpty { throw ConfigurationError("\(prefix)endpoint_id: expected an endpoint id") }
        if listen == nil { throw .expected("a port or host:port", at: "\(prefix)addr", got: addr) }
    }
}

extension BenchConfiguration {
    public func check() throws(ConfigurationError) {
        try connect.proxyURL.check("connect.proxy_url")
        try connect.upstreamURL.check("connect.upstream_url")
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

extension ConfiguredURL {
    fileprivate func check(_ name: String) throws(ConfigurationError) {
        if scheme == .https { throw ConfigurationError("\(name): https is not supported yet") }
    }
}
