// SPDX-License-Identifier: MIT
// What the admin port answers (protocol.md, "Admin"). Control loop only; numbers of the worker loops are asked for by mail and come back
// by mail. It changes nothing.

import FoundationEssentials
import PikoCore
import PikoEngine

/// The pages of the admin port.
final class AdminPages {
    private let node: ServerNode
    private let loop: EventLoop

    init(node: ServerNode, loop: EventLoop) {
        self.node = node
        self.loop = loop
    }

    /// Answers once, at once or in a later turn.
    func respond(to path: String, query: String, _ answer: @escaping (AdminAnswer) -> Void) {
        switch path {
        case "/health": answer(.text(200))
        case "/ready": answer(.text(isReady ? 200 : 503))
        case "/status/cluster/nodes": answer(.json(200, Self.json(node.cluster.nodes.map(NodeSummary.init))))
        case "/status/upstream/endpoints": answer(.json(200, Self.json(node.registry.listeners)))
        case "/metrics": metrics(answer)
        default: answer(.error(404, "not found"))
        }
    }

    private var isReady: Bool { node.isReady.load(ordering: .relaxed) && node.hasCluster.load(ordering: .relaxed) }

    /// A node as `/status/cluster/nodes` lists it.
    private struct NodeSummary: Encodable {
        let id: String
        let status: String
        let proxy_addr: String
        let admin_addr: String
        /// How many, and their listeners together.
        let endpoints: Int
        let upstreams: Int

        init(_ node: ClusterNode) {
            id = node.id
            status = node.status.rawValue
            proxy_addr = node.proxyAddress
            admin_addr = node.adminAddress
            endpoints = node.endpoints.count
            upstreams = node.upstreamCount
        }
    }

    private static func json(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "null"
    }

    private func metrics(_ answer: @escaping (AdminAnswer) -> Void) {
        Gathering.start(from: node.loops, to: loop) { ($0.metrics.snapshot, $0.otherNodes.requests) } completion: { [node] parts in
            var proxy = ProxySnapshot()
            var upstreams = Self.upstreams(of: node)
            for part in parts {
                proxy.add(part.0)
                upstreams.remoteRequests.merge(part.1, uniquingKeysWith: +)
            }
            var page = PrometheusText()
            page.add([(labels: [], snapshot: proxy)], prefix: "piko_proxy")
            page.add(upstreams)
            page.add(refusedConnections: node.refused.load(ordering: .relaxed))
            page.add(droppedLines: node.log.dropped)
            answer(AdminAnswer(status: 200, contentType: PrometheusText.contentType, body: page.text))
        }
    }

    private static func upstreams(of node: ServerNode) -> UpstreamSnapshot {
        var upstreams = UpstreamSnapshot()
        upstreams.connectedUpstreams = node.registry.tunnelCount
        upstreams.registeredEndpoints = node.registry.endpointCount
        upstreams.upstreamRequests = node.upstreamRequests.load(ordering: .relaxed)
        return upstreams
    }
}
