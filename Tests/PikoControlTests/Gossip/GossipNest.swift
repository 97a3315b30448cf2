// SPDX-License-Identifier: MIT
// Gossip shells on one loop, each with a port of its own on loopback, for the tests of the shell. Everything is ended, and every counter of the
// engine checked, when a test is over. Made and used on the test's thread.

import Dispatch
import PikoCore
import PikoEngine
import Synchronization
import Testing

@testable import PikoControl

/// One node of a nest, as the test's thread sees it.
final class NestedNode: Sendable {
    let id: String
    let view: Cluster
    let address: String
    private let ready = Atomic<Bool>(false)
    private let failed = Atomic<Bool>(false)

    init(id: String, address: String, view: Cluster) {
        self.id = id
        self.address = address
        self.view = view
    }

    var isReady: Bool { ready.load(ordering: .sequentiallyConsistent) }
    var hasFailed: Bool { failed.load(ordering: .sequentiallyConsistent) }
    func becameReady() { ready.store(true, ordering: .sequentiallyConsistent) }
    func hasNobody() { failed.store(true, ordering: .sequentiallyConsistent) }

    var port: UInt16 { HostPort(address)?.port ?? 0 }

    /// What it believes of a node.
    func belief(_ id: String) -> ClusterNode? { view.node(id) }
}

final class GossipNest {
    let loop: EventLoop
    private let shells: LoopBound<[String: GossipShell]>

    static func run(_ body: (GossipNest) throws -> Void) throws {
        let nest = try GossipNest()
        defer { nest.end() }
        try body(nest)
    }

    private init() throws {
        loop = try EventLoop(name: "gossip")
        try loop.start()
        let shells = LoopBound<[String: GossipShell]>(on: loop)
        self.shells = shells
        loop.sync { shells.value = [:] }
    }

    /// Starts a node at a free port; it tells others that it is `host`.
    func start(
        _ id: String, joining seeds: [String] = [], host: String = "127.0.0.1", timeout: Duration = .seconds(60), keys: [GossipSecret] = []
    ) throws -> NestedNode {
        let loop = self.loop
        let shells = self.shells
        let started = loop.sync { () -> NestedNode? in
            guard let port = try? GossipPort(at: [SocketAddress(host: "127.0.0.1", port: 0)!], isAny: false, on: loop) else { return nil }
            let node = NestedNode(id: id, address: "\(host):\(port.address?.port ?? 0)", view: Cluster(localID: id))
            var cluster = ClusterConfiguration()
            cluster.join = seeds
            cluster.joinTimeout = timeout
            cluster.gossip.keys = keys
            let start = GossipStart(
                id: id, proxyAddress: "\(id):8000", adminAddress: "\(id):8002", gossipAddress: node.address, cluster: cluster)
            let log = Log(sink: LogSink(configuration: LogConfiguration()) { _ in true })
            let shell = GossipShell(start, port: port, view: node.view, log: log, on: loop)
            shells.value?[id] = shell
            shell.run { node.becameReady() } onFailure: { node.hasNobody() }
            return node
        }
        let node: NestedNode? = started ?? nil
        return try #require(node)
    }

    /// Asks the shell of a node on its loop.
    func ask<Answer: Sendable>(_ node: NestedNode, _ body: @escaping @Sendable (GossipShell) -> Answer) throws -> Answer {
        let id = node.id
        let answer: Answer? = shells.sync { $0[id].map(body) } ?? nil
        return try #require(answer)
    }

    /// Ends a node without a word.
    func kill(_ node: NestedNode) {
        _ = shells.sync { [id = node.id] in $0[id]?.end() }
        _ = loop.sync { [shells, id = node.id] in shells.value?[id] = nil }
    }

    private func end() {
        _ = shells.sync { for shell in $0.values { shell.end() } }
        loop.sync { [shells] in shells.value = nil }
        loop.stop()
        #expect(loop.join() == EngineCounts())
    }
}

/// Looks again and again, for at most ten seconds.
func comesTrue(_ condition: () throws -> Bool) rethrows -> Bool {
    let end = DispatchTime.now() + 10
    let pause = DispatchSemaphore(value: 0)
    while try !condition() {
        if DispatchTime.now() > end { return false }
        _ = pause.wait(timeout: .now() + .milliseconds(5))
    }
    return true
}
