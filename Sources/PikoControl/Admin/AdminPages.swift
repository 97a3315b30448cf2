// SPDX-License-Identifier: MIT
// What the admin port answers (protocol.md, "Admin"). Control loop only; numbers of the worker loops are asked for by mail and come back
// by mail, pages of other nodes from their admin ports. It changes nothing.

import PikoCore
import PikoEngine

/// The pages of the admin port.
final class AdminPages {
    private let node: ServerNode
    private let loop: EventLoop
    private let forwards: AdminForwards
    /// From the binding of its port on.
    weak var gossip: GossipShell?
    /// Whose pages they are.
    weak var port: AdminPort?

    init(node: ServerNode, loop: EventLoop) {
        self.node = node
        self.loop = loop
        forwards = AdminForwards(loop: loop, tls: node.tls.admins)
    }

    /// Ends what is under way with other nodes; who waits for it is not answered any more.
    func end() { forwards.end() }

    /// Answers once, at once or in a later turn.
    func respond(to request: AdminRequest, _ answer: @escaping (AdminAnswer) -> Void) {
        switch AdminRoute(request, localID: node.id) {
        case .here(.metrics): metrics(answer)
        case .here(let page): answer(self.page(page))
        case .nowhere(let reason): answer(.error(404, reason))
        case .node(let id):
            guard let other = node.cluster.node(id) else { return answer(.error(404, "no node \(id)")) }
            forwards.ask(other.adminAddress, request, answer)
        }
    }

    private func page(_ page: AdminPage) -> AdminAnswer {
        switch page {
        case .health, .metrics: .text(200)
        case .ready: .text(isReady ? 200 : 503)
        case .endpoints: .json(JSONValue(node.registry.listeners))
        case .clusterNodes: .json(.list(node.cluster.nodes.map(JSONValue.init(summaryOf:))))
        case .clusterNode(let id): clusterNode(id == "local" ? node.id : id)
        case .gossipNodes: .json(.list(gossipNodes.map { JSONValue($0, clock: clock) }))
        case .gossipNode(let id): gossipNode(id)
        }
    }

    private var isReady: Bool { node.isReady.load(ordering: .relaxed) && node.hasCluster.load(ordering: .relaxed) }
    private var clock: WallClock { WallClock(loopNow: loop.now) }
    private var gossipNodes: [GossipNodeState] { (gossip?.nodes ?? []).sorted { $0.peer.id < $1.peer.id } }

    private func clusterNode(_ id: String) -> AdminAnswer {
        node.cluster.node(id).map { .json(JSONValue($0)) } ?? .error(404, "no node \(id)")
    }

    private func gossipNode(_ id: String) -> AdminAnswer {
        guard let state = gossip?.state(id) else { return .error(404, "no node \(id)") }
        return .json(JSONValue(state, entries: gossip?.entries(id) ?? [], clock: clock))
    }

    private func metrics(_ answer: @escaping (AdminAnswer) -> Void) {
        Gathering.start(from: node.loops, to: loop) {
            ($0.metrics.snapshot, $0.otherNodes.requests, $0.otherNodes.sharedRequests, $0.exhausted)
        } completion: { [self] parts in
            var proxy = ProxySnapshot()
            var upstreams = upstreams
            for part in parts {
                proxy.add(part.0)
                upstreams.remoteRequests.merge(part.1, uniquingKeysWith: +)
                upstreams.sharedRequests.merge(part.2, uniquingKeysWith: +)
            }
            var page = PrometheusText()
            page.add([(labels: [], snapshot: proxy)], prefix: "piko_proxy")
            page.add(upstreams)
            page.add(clusterNodes: node.cluster.nodes.map(\.status))
            if let gossip { page.add(gossip.counters, lostPackets: gossip.lostPackets, gossipNodes) }
            if let port { page.add(refusedAdminRequests: port.refused) }
            page.add(exhaustedDescriptors: parts.reduce(0) { $0 + $1.3 } + (port?.exhausted ?? 0) + (gossip?.exhausted ?? 0))
            page.add(node.refusals.snapshot(requests: node.rates.refused))
            page.add(faultsOfAgents: node.refusals.agentFaults, ofNodes: node.refusals.nodeFaults)
            page.add(node.tokens)
            page.add(node.tls)
            page.add(droppedLines: node.log.dropped)
            answer(AdminAnswer(status: 200, contentType: PrometheusText.contentType, body: page.text))
        }
    }

    private var upstreams: UpstreamSnapshot {
        var upstreams = UpstreamSnapshot()
        upstreams.connectedUpstreams = node.registry.tunnelCount
        upstreams.registeredEndpoints = node.registry.endpointCount
        upstreams.upstreamRequests = node.upstreamRequests.load(ordering: .relaxed)
        return upstreams
    }
}
