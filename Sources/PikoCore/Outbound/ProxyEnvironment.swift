// SPDX-License-Identifier: MIT
// Which proxy the environment names for a server: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in either case, by the rules that curl and Go share.
// Pure; whoever asks passes the variables in.

/// The proxies that the environment names.
public struct ProxyEnvironment {
    private let variables: (String) -> String?

    /// - Parameter variables: a variable's value by its name.
    public init(_ variables: @escaping (String) -> String?) { self.variables = variables }

    /// The proxy for a server; nil: none. This machine itself (localhost, loopback addresses) needs none.
    /// - Throws: where the variable for it names no proxy.
    public func proxy(for url: ConfiguredURL) throws(ConfigurationError) -> OutboundProxy? {
        guard let (name, value) = variable(url.scheme == .https ? "HTTPS_PROXY" : "HTTP_PROXY"), !Self.isLocal(url.host) else { return nil }
        if let (_, list) = variable("NO_PROXY"), ProxyExemptions(list).cover(host: url.host, port: url.port) { return nil }
        guard let proxy = OutboundProxy(value) else { throw ConfigurationError("\(name): expected \(OutboundProxy.expected)") }
        return proxy
    }

    /// The first of both spellings that is not empty.
    private func variable(_ name: String) -> (name: String, value: String)? {
        for name in [name, name.lowercased()] {
            if let value = variables(name), !value.isEmpty { return (name, value) }
        }
        return nil
    }

    private static func isLocal(_ host: String) -> Bool {
        host.lowercased() == "localhost" || NumericAddress(host)?.isLoopback ?? false
    }
}

extension AgentConfiguration {
    /// Fills in what the environment says where `connect.proxy_url` says nothing.
    public mutating func takeProxy(from environment: ProxyEnvironment) throws(ConfigurationError) {
        if connect.proxyURL == nil { connect.proxyURL = try environment.proxy(for: connect.url) }
    }
}

extension ForwardConfiguration {
    /// Fills in what the environment says where `connect.proxy_url` says nothing.
    public mutating func takeProxy(from environment: ProxyEnvironment) throws(ConfigurationError) {
        if connect.proxyURL == nil { connect.proxyURL = try environment.proxy(for: connect.url) }
    }
}

extension BenchConfiguration {
    /// Takes what the environment says for both ports of the server.
    public mutating func takeProxies(from environment: ProxyEnvironment) throws(ConfigurationError) {
        connect.proxyRoute = try environment.proxy(for: connect.proxyURL)
        connect.upstreamRoute = try environment.proxy(for: connect.upstreamURL)
    }
}

/// A list of NO_PROXY: "*", names with all below them, names with a leading dot or "*." for those below alone, addresses, blocks of
/// addresses; each but "*" and blocks also with a port.
struct ProxyExemptions {
    private enum Rule {
        case all
        case block(AddressBlock)
        case address(NumericAddress, port: UInt16?)
        /// Lower case, without the leading dot.
        case name(String, port: UInt16?, isItself: Bool)
    }

    private let rules: [Rule]

    init(_ list: String) {
        rules = list.split { $0 == "," || $0 == " " }.compactMap { Self.rule(String($0).lowercased()) }
    }

    /// - Parameter host: a name or a numeric address without brackets.
    func cover(host: String, port: UInt16) -> Bool {
        var host = host.lowercased()
        if host.hasSuffix(".") { host.removeLast() }
        let address = NumericAddress(host.prefix { $0 != "%" })
        return rules.contains { rule in
            switch rule {
            case .all: true
            case .block(let block): address.map { block.contains($0) } ?? false
            case .address(let other, let only): address == other && only ?? port == port
            case .name(let name, let only, let isItself):
                address == nil && only ?? port == port && (isItself && host == name || host.hasSuffix(".\(name)"))
            }
        }
    }

    private static func rule(_ text: String) -> Rule? {
        if text == "*" { return .all }
        if let block = AddressBlock(text) { return .block(block) }
        let bare = text.hasPrefix("[") && text.hasSuffix("]") ? String(text.dropFirst().dropLast()) : text
        if let address = NumericAddress(bare) { return .address(address, port: nil) }
        let place = HostPort(text.hasPrefix("*") ? String(text.dropFirst()) : text)
        if let place, let address = NumericAddress(place.host) { return .address(address, port: place.port) }
        var name = place?.host ?? (text.hasPrefix("*.") ? String(text.dropFirst()) : text)
        let isItself = !name.hasPrefix(".")
        if !isItself { name.removeFirst() }
        if name.hasSuffix(".") { name.removeLast() }
        return name.isEmpty ? nil : .name(name, port: place?.port, isItself: isItself)
    }
}
