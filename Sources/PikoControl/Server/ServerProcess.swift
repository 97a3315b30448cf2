// SPDX-License-Identifier: MIT
// `piko server`: starts the loops and their listeners, waits for a signal, lets what runs finish, ends. Runs on the main thread;
// everything it starts lives on loops.

import PikoCore
import PikoEngine

/// The server command.
public final class ServerProcess {
    private let configuration: ServerConfiguration
    private let log: Log
    private let turnstile = Turnstile()

    public init(configuration: ServerConfiguration, log: Log) {
        self.configuration = configuration
        self.log = log
    }

    /// Blocks until SIGTERM or SIGINT; 0 then. 1 when an address could not be listened at.
    public func run() -> Int32 {
        do {
            return try serve()
        } catch {
            log.error("server failed") { $0.add("error", String(describing: error)) }
            return 1
        }
    }

    private func serve() throws -> Int32 {
        let node = try ServerNode(configuration: configuration, log: log, turnstile: turnstile)
        let control = try EventLoop(name: "control")
        try control.start()
        let face = LoopBound<ControlLoop>(on: control)
        let turnstile = self.turnstile
        control.sync { face.value = try? ControlLoop(loop: control, node: node, turnstile: turnstile) }
        var failure: (any Error)?
        do { try start(node, face) } catch { failure = error }
        if failure == nil { _ = turnstile.wait { turnstile.signalCount > 0 } }
        drain(node)
        _ = face.sync { $0.end() }
        control.sync { face.value = nil }
        control.stop()
        ShutdownReport.write(node.loops.end() + [control.join()], to: log)
        if let failure { throw failure }
        return 0
    }

    private func start(_ node: ServerNode, _ face: LoopBound<ControlLoop>) throws {
        for (index, member) in node.loops.members.enumerated() {
            member.loop.sync { member.value = ServerLoop(node: node, index: index) }
        }
        try Binding.listen(at: configuration.upstream.bindAddr, key: "upstream.bind_addr", on: node.loops) {
            server, address throws(EngineError) in try server.listenForUpstreams(at: address)
        }
        try Binding.listen(at: configuration.proxy.bindAddr, key: "proxy.bind_addr", on: node.loops) {
            server, address throws(EngineError) in try server.listenForClients(at: address)
        }
        try Binding.listen(at: configuration.admin.bindAddr, key: "admin.bind_addr", on: face) {
            control, address throws(EngineError) in try control.listen(at: address)
        }
        node.isReady.store(true, ordering: .sequentiallyConsistent)
        log.info("server started") {
            $0.add("node_id", node.id)
            $0.add("proxy_addr", configuration.proxy.bindAddr.description)
            $0.add("upstream_addr", configuration.upstream.bindAddr.description)
            $0.add("admin_addr", configuration.admin.bindAddr.description)
            $0.add("loops", node.loops.count)
        }
    }

    /// Not ready, no new connections; what runs finishes within the grace period; then tunnels end and what is left is cut.
    private func drain(_ node: ServerNode) {
        node.isReady.store(false, ordering: .sequentiallyConsistent)
        log.info("stopping") { $0.add("grace_period", configuration.gracePeriod.configured) }
        node.loops.post { $0.drain() }
        let turnstile = self.turnstile
        let finished = turnstile.wait(atMost: configuration.gracePeriod.wholeMilliseconds) {
            turnstile.signalCount > 1 || node.loops.sync { $0.busyCount }.allSatisfy { $0 == 0 }
        }
        if !finished {
            log.warn("grace period is over") { $0.add("cut", node.loops.sync { $0.busyCount }.reduce(0, +)) }
        }
        node.loops.post { $0.end() }
        let isEnded = { node.loops.sync { $0.isEnded }.allSatisfy { $0 } }
        if !turnstile.wait(atMost: 1000, until: isEnded) {
            node.loops.post { $0.cut() }
            // A turn of the loops; long only where the machine stands still.
            _ = turnstile.wait(atMost: 10_000, until: isEnded)
        }
    }
}
