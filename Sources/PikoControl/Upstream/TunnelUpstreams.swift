// SPDX-License-Identifier: MIT
// A server's upstreams: streams of its tunnels, and streams and connections to the nodes that have the other tunnels. Selects by the node's registry and its
// view of the cluster; opens a stream where its tunnel lives on this loop, else says where it lives. One for each loop.

import PikoCore
import PikoEngine

/// What became of a wish for a tunnel of this node.
enum TunnelAnswer {
    case opened(OpenedUpstream)
    /// It lives on this other loop.
    case elsewhere(TunnelID)
    case none(ProxyError)
}

/// Opens upstreams for the proxy of one loop. Loop-confined.
final class TunnelUpstreams: UpstreamProvider {
    private unowned let server: ServerLoop
    /// All listeners of the cluster are alike.
    private var spreads: Bool
    /// A system call for each choice would cost as much as the choice.
    private var random = GossipRandom(seed: .random(in: 0 ... .max))

    init(server: ServerLoop) {
        self.server = server
        spreads = server.node.configuration.proxy.loadBalancing == .cluster
    }

    func configure(_ loadBalancing: LoadBalancing) { spreads = loadBalancing == .cluster }

    func acquire(_ request: UpstreamRequest, for receiver: any UpstreamReceiver) -> UpstreamAnswer {
        if request.remoteOnly { return forward(request, for: receiver, otherwise: .noUpstreams) }
        if isTurnOfOthers(request) {
            let answer = forward(request, for: receiver, otherwise: .noUpstreams)
            if case .none = answer {} else { return answer }
        }
        switch acquireHere(request) {
        case .opened(let opened): return .opened(opened)
        case .elsewhere(let id): return .elsewhere(id)
        case .none(let error): return request.localOnly ? .none(error) : forward(request, for: receiver, otherwise: error)
        }
    }

    // MARK: Tunnels of this node

    /// At most so many selections for one call: each that fails was gone by the time it was asked.
    private static let attempts = 3

    /// A stream of a tunnel of this node.
    func acquireHere(_ request: UpstreamRequest) -> TunnelAnswer {
        var tried = request.tried
        var selected = request.selected
        var failure = ProxyError.noUpstreams
        for _ in 0..<Self.attempts {
            let choice = selected ?? select(request, tried)
            selected = nil
            guard let choice else { break }
            if choice.loop != server.index { return .elsewhere(choice) }
            switch open(choice, for: request) {
            case .success(let opened): return .opened(opened)
            case .failure(let error): failure = error
            }
            tried.append(choice)
        }
        return .none(failure)
    }

    private func select(_ request: UpstreamRequest, _ tried: [TunnelID]) -> TunnelID? {
        server.node.registry.select(
            endpoint: request.endpoint, isHostName: request.isHostName, home: request.home, isBound: request.isBound, excluding: tried)
    }

    private func open(_ id: TunnelID, for request: UpstreamRequest) -> Result<OpenedUpstream, ProxyError> {
        guard let tunnel = server.tunnels[id.session] else { return .failure(.noUpstreams) }
        do throws(EngineError) {
            let stream = try tunnel.open(handler: request.handler)
            server.node.upstreamRequests.add(1, ordering: .relaxed)
            var opened = OpenedUpstream(stream, tunnel: id)
            opened.mayRefuse = tunnel.servesHTTP
            return .success(opened)
        } catch {
            guard error == .limit else { return .failure(.unreachable) }
            server.node.refusals.streams.add(1, ordering: .relaxed)
            return .failure(.overloaded)
        }
    }

    // MARK: Other nodes

    /// A stream or a connection to a node that has the endpoint. `failure`: what is answered where there is none.
    private func forward(
        _ request: UpstreamRequest, for receiver: any UpstreamReceiver, otherwise failure: ProxyError
    ) -> UpstreamAnswer {
        var tried = request.triedNodes + server.otherNodes.unfitNodes
        for _ in 0..<Self.attempts {
            let choice = server.node.cluster.select(
                endpoint: request.endpoint, isHostName: request.isHostName, excluding: tried, using: &random)
            guard let choice else { break }
            if let pool = server.otherNodes.pool(to: choice) {
                if request.mayShare, let opened = pool.sessions?.open(request, beside: pool) { return .opened(opened) }
                return pool.acquire(request.handler, for: receiver)
            }
            tried.append(choice.id)
        }
        return .none(failure)
    }

    /// Whether another node has the endpoint, as far as is known.
    func hasOtherNode(for endpoint: String) -> Bool { server.node.cluster.remoteListeners(endpoint) > 0 }

    /// Where all listeners of the cluster are alike: whether one of another node is next.
    func isTurnOfOthers(_ request: UpstreamRequest) -> Bool {
        guard spreads, !request.localOnly, request.selected == nil else { return false }
        let others = server.node.cluster.remoteListeners(
            request.endpoint, isHostName: request.isHostName, excluding: request.triedNodes + server.otherNodes.unfitNodes)
        guard others > 0 else { return false }
        let here = server.node.registry.count(
            endpoint: request.endpoint, isHostName: request.isHostName, excluding: request.tried)
        return Int.random(in: 0..<(here + others), using: &random) < others
    }
}
