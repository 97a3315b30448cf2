// SPDX-License-Identifier: MIT
// Whether the files that a configuration names are there and are what they should be, before anything starts: certificates, tokens, key sets.
// Tokens and key sets that a new configuration names instead of others are looked at before it takes effect, too; not certificates, and nothing that was
// named before: it may be in the middle of an exchange.
// Main thread: reading files may block. Nothing of it is kept; what becomes of a file later is its reader's matter.

import PikoClient
import PikoCore

/// A look at the files of a configuration. Throws the first mistake, with its key.
public enum NamedFiles {
    public static func check(_ configuration: ServerConfiguration, log: Log) throws(ConfigurationError) {
        _ = try ServerTLS(configuration, TLSStore(log: log), log: log)
        try checkTokens(configuration)
    }

    /// Only what tokens are verified by, and only what `current` does not name in the same place.
    public static func checkTokens(_ configuration: ServerConfiguration, insteadOf current: ServerConfiguration? = nil) throws(ConfigurationError) {
        try check(configuration.proxy.auth, "proxy.auth", insteadOf: current?.proxy.auth)
        try check(configuration.upstream.auth, "upstream.auth", insteadOf: current?.upstream.auth)
        try check(configuration.admin.auth, "admin.auth", insteadOf: current?.admin.auth)
        for (index, tenant) in configuration.upstream.tenants.enumerated() {
            let old = current?.upstream.tenants.first { $0.id == tenant.id }
            try check(tenant.auth, "upstream.tenants[\(index)].auth", insteadOf: old?.auth)
        }
    }

    public static func check(_ configuration: AgentConfiguration, log: Log) throws(ConfigurationError) {
        _ = try AgentTLS(configuration, TLSStore(log: log))
        try checkTokens(configuration)
    }

    /// Only the token's, and only where `current` names another.
    public static func checkTokens(_ configuration: AgentConfiguration, insteadOf current: AgentConfiguration? = nil) throws(ConfigurationError) {
        try check(token: configuration.connect.tokenFile, insteadOf: current?.connect.tokenFile)
    }

    public static func check(_ configuration: ForwardConfiguration, log: Log) throws(ConfigurationError) {
        _ = try TLSStore(log: log).client(configuration.connect.tls, "connect.tls")
        try checkTokens(configuration)
    }

    /// Only the token's, and only where `current` names another.
    public static func checkTokens(_ configuration: ForwardConfiguration, insteadOf current: ForwardConfiguration? = nil) throws(ConfigurationError) {
        try check(token: configuration.connect.tokenFile, insteadOf: current?.connect.tokenFile)
    }

    public static func check(_ configuration: BenchConfiguration, log: Log) throws(ConfigurationError) {
        _ = try TLSStore(log: log).client(configuration.connect.tls, "connect.tls")
    }

    private static func check(token path: String, insteadOf old: String?) throws(ConfigurationError) {
        guard path != old else { return }
        do throws(DialFailure) {
            _ = try TokenFile.read(path, otherwise: "")
        } catch {
            throw ConfigurationError(error.description)
        }
    }

    private static func check(_ auth: AuthConfiguration, _ section: String, insteadOf old: AuthConfiguration?) throws(ConfigurationError) {
        guard auth.jwks.endpoint != old?.jwks.endpoint, case .file(let path) = KeySetPlace(auth.jwks.endpoint) else { return }
        let name = "\(section).jwks.endpoint"
        guard let text = KeySetSource.text(of: path) else { throw ConfigurationError("\(name): expected a file that can be read, got \"\(path)\"") }
        do throws(KeyFault) {
            _ = try SignatureKeys(keySet: text)
        } catch {
            throw ConfigurationError("\(name): expected \(error.expected) in \"\(path)\"")
        }
    }
}
