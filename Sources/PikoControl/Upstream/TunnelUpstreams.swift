// SPDX-License-Identifier: MIT
// A server's upstreams: streams of tunnels. Selects a tunnel by the node's registry and opens a stream on it when it lives on this
// loop; else says where it lives. One for each loop.

import PikoCore
import PikoEngine

/// Opens upstream streams for the proxy of one loop. Loop-confined.
final class TunnelUpstreams: UpstreamProvider {
    private unowned let server: ServerLoop

    init(server: ServerLoop) { self.server = server }

    /// At most so many selections for one call: each that fails was gone by the time it was asked.
    private static let attempts = 3

    func acquire(_ request: UpstreamRequest, for receiver: any UpstreamReceiver) -> UpstreamAnswer {
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
            endpoint: request.endpoint, isHostName: request.isHostName, home: request.home, excluding: tried)
    }

    private func open(_ id: TunnelID, for request: UpstreamRequest) -> Result<OpenedUpstream, ProxyError> {
        guard let tunnel = server.tunnels[id.session] else { return .failure(.noUpstreams) }
        do throws(EngineError) {
            let stream = try tunnel.open(handler: request.handler)
            server.node.upstreamRequests.add(1, ordering: .relaxed)
            return .success(OpenedUpstream(stream, isReused: false, isConfirmed: false, tunnel: id))
        } catch {
            return .failure(error == .limit ? .overloaded : .unreachable)
        }
    }

    /// Every answer is immediate: nothing is ever pending.
    func cancel(_ receiver: any UpstreamReceiver) {}

    /// A stream carries one request.
    func release(_ connection: Connection, reusable: Bool) { connection.close() }
}
