// SPDX-License-Identifier: MIT
// What one loop of a node has learned about another node: on which of its loops an endpoint's tunnels live, and when a session to it may be
// dialled. A value without clock or sockets; what is not known, or was wrong, goes over a connection of its own, and is learned there.

/// The ways to one other node, in milliseconds of any clock.
public struct NodeRoutes: Sendable {
    /// How a session came to nothing.
    public enum Setback: Sendable {
        /// It was lost.
        case lost
        /// It could not be opened, or the node takes none now.
        case notNow
        /// Whoever is there knows no sessions.
        case unknown
    }

    private struct Route {
        var loops: [UInt8]
        var turn = 0
        var freshUntil: UInt64

        mutating func next() -> UInt8 {
            turn = turn + 1 < loops.count ? turn + 1 : 0
            return loops[turn]
        }
    }

    /// What was learned is asked again after so long: tunnels come and go.
    public static let freshness: UInt64 = 5_000
    /// While one request asks, the others go on by what was known.
    static let asking: UInt64 = 1_000
    /// Endpoints that are remembered.
    static let mostRoutes = 16_384

    private var routes: [String: Route] = [:]
    private var nextDial: UInt64 = 0

    public init() {}

    /// The node said where the tunnels of an endpoint are. At the bound everything is learned anew.
    public mutating func learn(_ endpoint: String, loops: [UInt8], now: UInt64) {
        guard !loops.isEmpty else { return forget(endpoint) }
        if let index = routes.index(forKey: endpoint) {
            routes.values[index].loops = loops
            routes.values[index].freshUntil = now &+ Self.freshness
            return
        }
        if routes.count >= Self.mostRoutes { routes.removeAll(keepingCapacity: true) }
        routes[endpoint] = Route(loops: loops, freshUntil: now &+ Self.freshness)
    }

    /// The loop of the node that gets the next request, each tunnel in turn. nil: the request is to go over a connection of its own.
    public mutating func loop(for endpoint: String, now: UInt64) -> Int? {
        guard let index = routes.index(forKey: endpoint) else { return nil }
        guard routes.values[index].freshUntil > now else {
            routes.values[index].freshUntil = now &+ Self.asking
            return nil
        }
        return Int(routes.values[index].next())
    }

    /// What was known of an endpoint was wrong.
    public mutating func forget(_ endpoint: String) { routes[endpoint] = nil }

    /// Whether a session may be dialled now.
    public func mayDial(now: UInt64) -> Bool { now >= nextDial }

    /// A session came to nothing: none is dialled for a while.
    public mutating func meet(_ setback: Setback, now: UInt64) {
        let wait: UInt64 =
            switch setback {
            case .lost: 1_000
            case .notNow: 5_000
            case .unknown: 60_000
            }
        nextDial = max(nextDial, now &+ wait)
    }
}
