// SPDX-License-Identifier: MIT
// Where a server node speaks TLS: its three ports, and towards other nodes. Any thread.
// Made once at the start; what the identities read later is their own matter.

import PikoCore
import PikoEngine

/// A port of TLS and the handshakes that failed on it.
final class TLSPort: Sendable {
    /// "proxy", "upstream" or "admin".
    let name: String
    let failures = TLSCounter()
    private let identity: TLSIdentity
    private let log: Log

    init?(_ identity: TLSIdentity?, name: String, log: Log) {
        guard let identity else { return nil }
        self.identity = identity
        self.name = name
        self.log = log.named("tls")
    }

    /// For each new connection.
    var source: @Sendable () -> TLSContext { identity.source }

    /// A connection was accepted: should its handshake fail, that is counted and said.
    func watch(_ connection: Connection) {
        let peer = connection.peerAddress
        connection.onHandshakeFailure = { [self] error in
            failures.add()
            log.peer(.info, "handshake failed") {
                $0.add("port", name)
                if let peer { $0.add("peer", peer.description) }
                $0.add("error", error.description)
            }
        }
    }
}

/// All of a node.
struct ServerTLS: Sendable {
    var proxy: TLSPort?
    var upstream: TLSPort?
    var admin: TLSPort?
    /// Towards the proxy ports of other nodes; nil: they speak plain text.
    var nodes: TLSIdentity?
    /// Towards their admin ports.
    var admins: TLSIdentity?
    var refusals: TLSCounter?
    /// Dials of their proxy ports that failed for TLS.
    let unfitNodes = TLSCounter()

    init() {}

    /// A node takes the others for like itself: where its own port speaks TLS, so does theirs.
    init(_ configuration: ServerConfiguration, _ store: TLSStore, log: Log) throws(ConfigurationError) {
        let (proxy, upstream, admin) = (configuration.proxy.tls, configuration.upstream.tls, configuration.admin.tls)
        self.proxy = TLSPort(try store.server(proxy, "proxy.tls"), name: "proxy", log: log)
        self.upstream = TLSPort(try store.server(upstream, "upstream.tls"), name: "upstream", log: log)
        self.admin = TLSPort(try store.server(admin, "admin.tls"), name: "admin", log: log)
        if proxy.reachesOthers { nodes = try store.client(proxy.client, "proxy.tls.client") }
        if admin.reachesOthers { admins = try store.client(admin.client, "admin.tls.client") }
        refusals = store.refusals
    }

    fileprivate var ports: [TLSPort] { [proxy, upstream, admin].compactMap { $0 } }
}

extension ServerTLSConfiguration {
    /// Whether other nodes are dialled by TLS: the port has it, or it is said how they are.
    fileprivate var reachesOthers: Bool { isEnabled || client != ClientTLSConfiguration() }
}

extension PrometheusText {
    /// Nothing where a node has no TLS: not of the original.
    mutating func add(_ tls: ServerTLS) {
        guard !tls.ports.isEmpty || tls.nodes != nil || tls.admins != nil else { return }
        begin("piko_tls_handshake_failures_total", .counter, "Connections whose TLS handshake failed.")
        for port in tls.ports { sample([("port", port.name)], port.failures.value) }
        begin("piko_tls_node_failures_total", .counter, "Connections to other nodes that failed for TLS; such a node gets no requests for 5 s.")
        sample(tls.unfitNodes.value)
        add(refusedCertificates: tls.refusals?.value ?? 0)
    }
}
