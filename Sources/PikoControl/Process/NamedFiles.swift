// SPDX-License-Identifier: MIT
// Whether the files that a configuration names are there and are what they should be, before anything starts: certificates, tokens, key sets.
// Tokens and key sets are looked at before a new configuration takes effect, too; not certificates, which may be in the middle of an exchange.
// Main thread: reading files may block. Nothing of it is kept; what becomes of a file later is its reader's matter.

import PikoClient
import PikoCore

/// A look at the files of a configuration. Throws the first mistake, with its key.
public enum NamedFiles {
    public static func check(_ configuration: ServerConfiguration, log: Log) throws(ConfigurationError) {
        _ = try ServerTLS(configuration, TLSStore(log: log), log: log)
        try checkTokens(configuration)
    }

    /// Only what tokens are verified by.
    public static func checkTokens(_ configuration: ServerConfiguration) throws(ConfigurationError) {
        try check(configuration.proxy.auth, "proxy.auth")
        try check(configuration.upstream.auth, "upstream.auth")
        try check(configuration.admin.auth, "admin.auth")
        for (index, tenant) in configuration.upstream.tenants.enumerated() { try check(tenant.auth, "upstream.tenants[\(index)].auth") }
    }

    public static func check(_ configuration: AgentConfiguration, log: Log) throws(ConfigurationError) {
        _ = try AgentTLS(configuration, TLSStore(log: log))
        try checkTokens(configuration)
    }

    /// Only the token's.
    public static func checkTokens(_ configuration: AgentConfiguration) throws(ConfigurationError) {
        try check(token: configuration.connect.tokenFile)
    }

    public static func check(_ configuration: ForwardConfiguration, log: Log) throws(ConfigurationError) {
        _ = try TLSStore(log: log).client(configuration.connect.tls, "connect.tls")
        try checkTokens(configuration)
    }

    /// Only the token's.
    public static func checkTokens(_ configuration: ForwardConfiguration) throws(ConfigurationError) {
        try check(token: configuration.connect.tokenFile)
    }

    public static func check(_ configuration: BenchConfiguration, log: Log) throws(ConfigurationError) {
        _ = try TLSStore(log: log).client(configuration.connect.tls, "connect.tls")
    }

    private static func check(token path: String) throws(ConfigurationError) {
        do throws(DialFailure) {
            _ = try TokenFile.read(path, otherwise: "")
        } catch {
            throw ConfigurationError(error.description)
        }
    }

    private static func check(_ auth: AuthConfiguration, _ section: String) throws(ConfigurationError) {
        guard case .file(let path) = KeySetPlace(auth.jwks.endpoint) else { return }
        let name = "\(section).jwks.endpoint"
        guard let text = KeySetSource.text(of: path) else { throw ConfigurationError("\(name): expected a file that can be read, got \"\(path)\"") }
        do throws(KeyFault) {
            _ = try SignatureKeys(keySet: text)
        } catch {
            throw ConfigurationError("\(name): expected \(error.expected) in \"\(path)\"")
        }
    }
}
