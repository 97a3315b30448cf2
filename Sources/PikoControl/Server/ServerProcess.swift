// SPDX-License-Identifier: MIT
// `piko server`: starts the loops and their listeners, waits for a signal, lets what runs finish, ends. Runs on the main thread;
// everything it starts lives on loops.

import PikoCore
import PikoEngine

/// The server command.
public final class ServerProcess {
    private let live: LiveConfiguration<ServerConfiguration>
    /// At the start.
    private let configuration: ServerConfiguration
    private let log: Log
    private let turnstile = Turnstile()

    /// - Throws: what only making the keys of tokens shows.
    public static func check(_ configuration: ServerConfiguration) throws(ConfigurationError) {
        _ = try NodeTokens(configuration, log: Log(sink: LogSink(configuration: configuration.log)))
    }

    public init(configuration: LiveConfiguration<ServerConfiguration>) {
        live = configuration
        self.configuration = configuration.current
        log = configuration.log
    }

    /// Blocks until SIGTERM or SIGINT; 0 then. 1 when an address could not be listened at.
    public func run() -> Int32 {
        let frame = ProcessFrame<ServerLoop, ControlLoop>(
            failed: "server failed", log: log, gracePeriod: { [live] in live.current.gracePeriod }, turnstile: turnstile)
        return frame.status {
            live.show()
            let tokens = try NodeTokens(configuration, log: log)
            let store = TLSStore(log: log)
            let tls = try ServerTLS(configuration, store, log: log)
            let node = try ServerNode(configuration: configuration, tokens: tokens, tls: tls, log: log, turnstile: turnstile)
            let turnstile = self.turnstile
            return try frame.serve(on: node.loops, tls: store) { loop throws(EngineError) in
                try ControlLoop(loop: loop, node: node, turnstile: turnstile)
            } start: { face in
                try start(node, face)
            } reload: { face in
                // Whatever the configuration says: a key may have been revoked. Before that is applied: what begins with it reads anyway.
                face.loop.post { tokens.readAgain() }
                live.reload { plan throws(ConfigurationError) in try apply(plan, node, face) }
            } drain: { face in
                ServerDrain(node: node, control: face, frame: frame).run()
            }
        }
    }

    private func apply(
        _ plan: ReloadPlan<ServerConfiguration>, _ node: ServerNode, _ face: LoopBound<ControlLoop>
    ) throws(ConfigurationError) {
        let configuration = plan.configuration
        // Nodes with keys and nodes without do not understand each other: one alone cannot change sides.
        guard configuration.cluster.gossip.keys.isEmpty == live.current.cluster.gossip.keys.isEmpty else {
            throw ConfigurationError("cluster.gossip.keys: expected other keys; to begin or end encrypting takes a restart of all nodes")
        }
        if ["proxy.auth", "upstream.auth", "upstream.tenants", "admin.auth"].contains(where: plan.changes) {
            try node.tokens.replace(configuration, on: face.loop)
        }
        node.configure(configuration)
        face.post { $0.configure(configuration) }
    }

    private func start(_ node: ServerNode, _ face: LoopBound<ControlLoop>) throws {
        for (index, member) in node.loops.members.enumerated() {
            member.loop.sync { member.value = ServerLoop(node: node, index: index) }
        }
        try Binding.listen(at: configuration.upstream.bindAddr, key: "upstream.bind_addr", on: node.loops) {
            server, address throws(EngineError) in try server.listenForUpstreams(at: address)
        }
        let proxy = try Binding.listen(at: configuration.proxy.bindAddr, key: "proxy.bind_addr", on: node.loops) {
            server, address throws(EngineError) in try server.listenForClients(at: address)
        }
        let admin = try Binding.listen(at: configuration.admin.bindAddr, key: "admin.bind_addr", on: face) {
            control, address throws(EngineError) in try control.listen(at: address)
        }
        try ControlLoop.startGossip(on: face, node, proxy: proxy[0], admin: admin[0])
        node.isReady.store(true, ordering: .sequentiallyConsistent)
        log.info("server started") {
            $0.add("node_id", node.id)
            $0.add("proxy_addr", configuration.proxy.bindAddr.description)
            $0.add("upstream_addr", configuration.upstream.bindAddr.description)
            $0.add("admin_addr", configuration.admin.bindAddr.description)
            $0.add("gossip_addr", configuration.cluster.gossip.bindAddr.description)
            $0.add("loops", node.loops.count)
        }
    }
}
