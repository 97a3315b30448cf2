// SPDX-License-Identifier: MIT
// One real server node of one loop for the tests of routing, whose cluster the test makes up: the other nodes are sockets that the test plays. Everything
// is ended, and every counter of the engine checked, when a test is over.

import PikoCore
import PikoEngine
import Testing

@testable import PikoControl

/// A node under test. Made, used and ended on the test's thread.
final class NodeStage {
    let node: ServerNode
    let port: UInt16

    static func run(_ configure: (inout ServerConfiguration) -> Void = { _ in }, _ body: (NodeStage) throws -> Void) throws {
        let stage = try NodeStage(configure)
        defer { stage.end() }
        try body(stage)
    }

    private init(_ configure: (inout ServerConfiguration) -> Void) throws {
        var configuration = ServerConfiguration()
        configuration.engine.loops = 1
        configuration.cluster.nodeID = "local"
        configuration.proxy.accessLog.disable = true
        configure(&configuration)
        let log = Log(sink: LogSink(configuration: LogConfiguration()) { _ in true })
        let tokens = try NodeTokens(configuration, log: log)
        node = try ServerNode(configuration: configuration, tokens: tokens, log: log, turnstile: Turnstile())
        port = try TestSocket.listening().port
        let address = SocketAddress(host: "127.0.0.1", port: port)!
        let member = node.loops.members[0]
        let node = self.node
        member.loop.sync {
            let server = ServerLoop(node: node, index: 0)
            member.value = server
            try? server.listenForClients(at: address)
        }
        for change in [ClusterChange.added(id: "local"), .proxyAddress(id: "local", "127.0.0.1:\(port)"), .adminAddress(id: "local", "127.0.0.1:1")] {
            node.cluster.apply(change)
        }
    }

    func connect(from host: String = "127.0.0.1") throws -> TestSocket { try TestSocket.connected(to: port, from: host) }

    /// Another node of the cluster that has an endpoint.
    func add(_ id: String, at port: UInt16, _ endpoint: String = "my", listeners: Int = 1) {
        let address = "127.0.0.1:\(port)"
        for change in [
            ClusterChange.added(id: id), .proxyAddress(id: id, address), .adminAddress(id: id, address),
            .endpoint(id: id, endpoint: endpoint, listeners: listeners),
        ] { node.cluster.apply(change) }
    }

    /// As gossip does it: the view first, then the loops.
    func set(_ id: String, _ status: NodeStatus) {
        node.cluster.apply(.status(id: id, status))
        _ = node.loops.members[0].sync { $0.nodeDidChange(id, status) }
    }

    func drain() { _ = node.loops.members[0].sync { $0.drain() } }

    var busyCount: Int { node.loops.members[0].sync { $0.busyCount } ?? -1 }
    var requests: [String: UInt64] { node.loops.members[0].sync { $0.otherNodes.requests } ?? [:] }

    private func end() {
        let member = node.loops.members[0]
        _ = member.sync {
            $0.drain()
            $0.end()
            $0.cut()
        }
        for counts in node.loops.end() { #expect(counts == EngineCounts()) }
    }
}

extension TestSocket {
    /// A port where nobody listens.
    static func deadPort() throws -> UInt16 { try TestSocket.listening().port }

    /// Reads one request head and answers it.
    @discardableResult
    func serve(_ answer: String) throws -> String {
        let head = try read(until: "\r\n\r\n")
        try send(answer)
        return head
    }

    /// Plays the end of a session that another node dials. Over when that end has answered a ping of yamux, so when streams are opened.
    func beginSession(node: String) throws {
        let head = try read(until: "\r\n\r\n")
        let fields = head.split(separator: "\r\n").map { $0.split(separator: ": ", maxSplits: 1) }
        let key = fields.first { $0[0].lowercased() == "sec-websocket-key" }.map { String($0[1]) } ?? ""
        try send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Accept: \(WebSocketHandshake.accept(for: key) ?? "")\r\nx-piko-node: \(node)\r\n\r\n")
        let ping: [UInt8] = [0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]
        try send([0x82, UInt8(ping.count)] + ping)
        let header = 2, mask = 4
        _ = try read(header + mask + ping.count)
    }
}
