// SPDX-License-Identifier: MIT
// Where an agent speaks TLS: towards the server, and towards services of https. Any thread.
// Made once at the start; what the identities read later is their own matter.

import PikoCore

/// All of an agent.
struct AgentTLS: Sendable {
    /// nil: the server's URL is of http.
    var server: TLSIdentity?
    /// By the listener's index in the configuration.
    var services: [Int: TLSIdentity] = [:]

    init(_ configuration: AgentConfiguration, _ store: TLSStore) throws(ConfigurationError) {
        let connect = configuration.connect
        server = try store.client(connect.tls, "connect.tls", towards: [connect.url])
        for (index, listener) in configuration.listeners.enumerated() {
            services[index] = try store.client(listener.tls, "listeners[\(index)].tls", towards: [listener.service])
        }
    }
}
