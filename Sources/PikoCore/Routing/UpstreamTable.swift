// SPDX-License-Identifier: MIT
// Which tunnels serve which endpoint on this node, and whose turn it is. A value: no threads, no clock, no sockets; PikoControl guards
// it with a lock that is held for one look-up. Counts are sets: a tunnel is added and removed by id, once.

/// Names a tunnel: the loop it lives on and its session there. Never a pointer: a tunnel may be gone when its name is used.
public struct TunnelID: Hashable, Sendable {
    /// Index of the loop within the process.
    public let loop: Int
    /// Unique within the process, never used again.
    public let session: UInt64

    public init(loop: Int, session: UInt64) {
        self.loop = loop
        self.session = session
    }
}

/// The tunnels of this node by endpoint.
public struct UpstreamTable: Sendable {
    private struct Tunnel {
        let id: TunnelID
        /// Selections so far, level with the others from the moment it is added.
        var served: UInt64
    }

    private var endpoints: [String: [Tunnel]] = [:]
    private var owners: [TunnelID: String] = [:]
    private var folded = FoldedNames()

    /// How many selections a tunnel of the connection's own loop may be ahead of the one whose turn it is, when the connection has
    /// served requests before: moving a connection to another loop costs as much as relaying several requests.
    public static let homeAdvantage: UInt64 = 8

    public init() {}

    /// Adds a tunnel for an endpoint. A tunnel that is there already is a programmer's mistake.
    public mutating func add(_ id: TunnelID, endpoint: String) {
        precondition(owners[id] == nil, "a tunnel is added once")
        owners[id] = endpoint
        if endpoints[endpoint] == nil { folded.add(endpoint) }
        let level = endpoints[endpoint]?.map(\.served).min() ?? 0
        endpoints[endpoint, default: []].append(Tunnel(id: id, served: level))
    }

    /// Removes a tunnel; it is not selected again. False when it is not there (any more).
    @discardableResult
    public mutating func remove(_ id: TunnelID) -> Bool {
        guard let endpoint = owners.removeValue(forKey: id) else { return false }
        endpoints[endpoint]?.removeAll { $0.id == id }
        guard endpoints[endpoint]?.isEmpty == true else { return true }
        endpoints[endpoint] = nil
        folded.remove(endpoint)
        return true
    }

    /// The tunnel whose turn it is, other than those tried already. nil when there is none.
    /// - Parameters:
    ///   - isHostName: the name is of a host, in lower case: without an endpoint of just this name, one that differs in case only is meant.
    ///   - home: the loop of a connection that would rather stay there; nil for strict turns.
    ///   - isBound: it cannot leave `home`: tunnels there only.
    public mutating func select(
        endpoint: String, isHostName: Bool = false, home: Int?, isBound: Bool = false, excluding tried: [TunnelID]
    ) -> TunnelID? {
        guard let index = place(of: endpoint, isHostName) else { return nil }
        return Self.select(among: &endpoints.values[index], home: home, isBound, excluding: tried)
    }

    /// How many tunnels `select` chooses from.
    public func count(endpoint: String, isHostName: Bool = false, excluding tried: [TunnelID] = []) -> Int {
        guard let index = place(of: endpoint, isHostName) else { return 0 }
        return endpoints.values[index].count { !tried.contains($0.id) }
    }

    /// The loop of each tunnel that `select` chooses from, of LoopList.longest at most.
    public func loops(of endpoint: String, isHostName: Bool = false) -> [Int] {
        guard let index = place(of: endpoint, isHostName) else { return [] }
        return endpoints.values[index].prefix(LoopList.longest).map(\.id.loop)
    }

    private func place(of endpoint: String, _ isHostName: Bool) -> Dictionary<String, [Tunnel]>.Index? {
        if let place = endpoints.index(forKey: endpoint) { return place }
        guard isHostName, let meant = folded.meant(by: endpoint) else { return nil }
        return endpoints.index(forKey: meant)
    }

    private static func select(
        among tunnels: inout [Tunnel], home: Int?, _ isBound: Bool, excluding tried: [TunnelID]
    ) -> TunnelID? {
        var least: Int?
        var atHome: Int?
        for index in tunnels.indices where !tried.contains(tunnels[index].id) {
            if least.map({ tunnels[index].served < tunnels[$0].served }) ?? true { least = index }
            guard tunnels[index].id.loop == home else { continue }
            if atHome.map({ tunnels[index].served < tunnels[$0].served }) ?? true { atHome = index }
        }
        guard var choice = isBound ? atHome : least else { return nil }
        if let atHome, tunnels[atHome].served < tunnels[choice].served + homeAdvantage { choice = atHome }
        tunnels[choice].served += 1
        return tunnels[choice].id
    }

    public func contains(_ id: TunnelID) -> Bool { owners[id] != nil }

    /// The endpoint that a tunnel serves; nil for one that is not there.
    public func endpoint(of id: TunnelID) -> String? { owners[id] }

    /// How many tunnels serve an endpoint.
    public func listenerCount(_ endpoint: String) -> Int { endpoints[endpoint]?.count ?? 0 }
    /// How many tunnels serve each endpoint.
    public var listeners: [String: Int] { endpoints.mapValues(\.count) }
    public var endpointCount: Int { endpoints.count }
    public var tunnelCount: Int { owners.count }
}
