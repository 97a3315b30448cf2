// SPDX-License-Identifier: MIT
// One node of a test cluster: its process, its ports, and whether it says that it is ready. Control loop only.
// When to start and stop it is the plan's matter.

import Glibc
import PikoCore
import PikoEngine

/// Where a node listens, on loopback.
struct LocalNodePorts: Sendable {
    let proxy: SocketAddress
    let upstream: SocketAddress
    let admin: SocketAddress
    let gossip: SocketAddress

    /// Ports that nobody uses at this moment.
    static func free(on loop: EventLoop) throws(EngineError) -> LocalNodePorts {
        // All four at once, so that none is given twice.
        var listeners: [Listener] = []
        defer { for listener in listeners { listener.close() } }
        var addresses: [SocketAddress] = []
        for _ in 0..<4 {
            let listener = try Listener.listen(at: SocketAddress(host: "127.0.0.1", port: 0)!, shared: false, on: loop) { $0.abort() }
            listeners.append(listener)
            guard let address = listener.address else { throw .closed }
            addresses.append(address)
        }
        return LocalNodePorts(proxy: addresses[0], upstream: addresses[1], admin: addresses[2], gossip: addresses[3])
    }
}

/// A node of a test cluster. Loop-confined.
final class LocalNode {
    let number: Int
    let ports: LocalNodePorts
    let process: ChildProcess
    private var question: PageExchange?

    /// Milliseconds for an answer.
    private static let patience: UInt64 = 2_000

    /// Starts the process.
    /// - Parameter seeds: gossip addresses of other nodes.
    init(_ number: Int, joining seeds: [SocketAddress], _ configuration: TestClusterConfiguration, on loop: EventLoop) throws(EngineError) {
        self.number = number
        ports = try LocalNodePorts.free(on: loop)
        process = try ChildProcess.start(Self.arguments(number, ports, seeds, configuration))
    }

    static func id(_ number: Int) -> String { "node-\(number)" }

    static func arguments(
        _ number: Int, _ ports: LocalNodePorts, _ seeds: [SocketAddress], _ configuration: TestClusterConfiguration
    ) -> [String] {
        var arguments = [
            "server", "--cluster.node-id=\(id(number))", "--proxy.bind-addr=\(ports.proxy)", "--upstream.bind-addr=\(ports.upstream)",
            "--admin.bind-addr=\(ports.admin)", "--cluster.gossip.bind-addr=\(ports.gossip)",
            "--engine.loops=\(configuration.engine.loops)", "--log.level=\(configuration.log.level.name)",
            "--grace-period=\(configuration.gracePeriod.configured)",
        ]
        arguments += configuration.log.subsystems.map { "--log.subsystems=\($0)" }
        arguments += seeds.map { "--cluster.join=\($0)" }
        return arguments
    }

    /// `completion` gets whether `/ready` is a 200; not when it was asked and has not answered yet.
    func askReady(on loop: EventLoop, completion: @escaping (Bool) -> Void) {
        guard question == nil else { return }
        let url = ConfiguredURL(host: ports.admin.host, port: ports.admin.port)
        question = PageExchange(PageRequest(url: url, target: "/ready", timeout: Self.patience), on: loop) { [weak self] answer in
            self?.question = nil
            completion((try? answer.get())?.status == 200)
        }
        question?.start()
    }

    /// Asks nothing any more.
    func forget() {
        question?.cancel()
        question = nil
    }
}
