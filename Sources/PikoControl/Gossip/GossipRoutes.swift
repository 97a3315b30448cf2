// SPDX-License-Identifier: MIT
// Where packets to a peer go: the numeric address behind "host:port", where the host may be a name that a node advertises. Control loop only.
// A packet to a name that is still being looked up is lost; the next round brings another. Bounded, for peers say the addresses.

import PikoCore
import PikoEngine

/// Numeric addresses of peers. Loop-confined.
final class GossipRoutes {
    private struct Route {
        var address: SocketAddress?
        /// When a name is looked up again, milliseconds of the loop's clock; never for a numeric address.
        var expiry: UInt64
        var isResolving = false
    }

    private static let capacity = 4096
    private static let lifetime: UInt64 = 30_000
    /// After a failure.
    private static let pause: UInt64 = 1_000

    private let loop: EventLoop
    private let lookups: PeerLookups
    private var routes: [String: Route] = [:]

    init(loop: EventLoop, lookups: PeerLookups) {
        self.loop = loop
        self.lookups = lookups
    }

    /// The address to send to now; nil while none is known.
    func address(of text: String) -> SocketAddress? {
        if let route = routes[text] {
            if route.expiry <= loop.now { resolve(text) }
            return route.address
        }
        guard let place = HostPort(text) else { return nil }
        if routes.count >= Self.capacity { routes.removeAll() }
        let numeric = SocketAddress(host: place.host, port: place.port)
        routes[text] = Route(address: numeric, expiry: numeric == nil ? 0 : .max)
        if numeric == nil { resolve(text) }
        return numeric
    }

    private func resolve(_ text: String) {
        guard routes[text]?.isResolving == false, let place = HostPort(text) else { return }
        routes[text]?.isResolving = lookups.resolve(host: place.host, port: place.port, on: loop) { [weak self] in self?.resolved(text, $0) }
    }

    private func resolved(_ text: String, _ result: Result<[SocketAddress], EngineError>) {
        guard routes[text] != nil else { return }
        routes[text]?.isResolving = false
        routes[text]?.expiry = loop.now + Self.pause
        guard case .success(let addresses) = result else { return }
        routes[text]?.address = addresses.first
        routes[text]?.expiry = loop.now + Self.lifetime
    }
}
