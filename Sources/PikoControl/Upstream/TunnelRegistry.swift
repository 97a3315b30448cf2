// SPDX-License-Identifier: MIT
// The tunnels of the whole node: which endpoint has which, and how many each loop carries. Shared by all loops behind a lock that is held
// for one look-up or change, never across I/O, a callback or a log line. It holds names, never sessions.

import PikoCore
import Synchronization

/// The node's table of tunnels. Any thread.
public final class TunnelRegistry: Sendable {
    private struct State {
        /// Tunnels at once; 0: no limit.
        var limit: Int
        var table = UpstreamTable()
        var perLoop: [Int]
        var total = 0
        var lastSession: UInt64 = 0
        /// Endpoints whose number of tunnels has changed since somebody looked; without a watcher nobody will.
        var changed: Set<String> = []
        var watcher: (@Sendable () -> Void)?

        /// The endpoint that the tunnel was listed under; nil when it is not listed (any more).
        mutating func remove(_ id: TunnelID) -> String? {
            guard let endpoint = table.endpoint(of: id) else { return nil }
            table.remove(id)
            return endpoint
        }
    }

    private let state: Mutex<State>

    /// - Parameter limit: tunnels at once; 0: no limit.
    public init(loops: Int, limit: Int) {
        state = Mutex(State(limit: limit, perLoop: Array(repeating: 0, count: loops)))
    }

    /// Another limit, for tunnels to come.
    public func setLimit(_ limit: Int) { state.withLock { $0.limit = limit } }

    /// Takes a place for a new tunnel, on the loop that has fewest. nil at the limit. Must be given back with `leave`.
    public func place() -> TunnelID? {
        state.withLock { state in
            guard state.limit == 0 || state.total < state.limit else { return nil }
            let loop = state.perLoop.indices.min { state.perLoop[$0] < state.perLoop[$1] } ?? 0
            state.perLoop[loop] += 1
            state.total += 1
            state.lastSession += 1
            return TunnelID(loop: loop, session: state.lastSession)
        }
    }

    /// Gives back the place, when the tunnel has closed or never came to be.
    public func leave(_ id: TunnelID) {
        change { state in
            state.perLoop[id.loop] -= 1
            state.total -= 1
            return state.remove(id)
        }
    }

    /// The tunnel can be selected from now on.
    public func open(_ id: TunnelID, endpoint: String) {
        change { state in
            state.table.add(id, endpoint: endpoint)
            return endpoint
        }
    }

    /// The tunnel is not selected any more; its place stays taken until `leave`.
    public func retire(_ id: TunnelID) {
        change { $0.remove(id) }
    }

    /// Whether the tunnel is there to be selected.
    public func isListed(_ id: TunnelID) -> Bool { state.withLock { $0.table.endpoint(of: id) != nil } }

    // MARK: What others are told

    /// Has `onChange` called, on any thread, when the number of tunnels of an endpoint has changed and no other change waits to be taken.
    /// Once; what is there already counts as changed.
    public func watch(_ onChange: @escaping @Sendable () -> Void) {
        let isEmpty = state.withLock { state in
            state.watcher = onChange
            state.changed = Set(state.table.listeners.keys)
            return state.changed.isEmpty
        }
        if !isEmpty { onChange() }
    }

    /// The endpoints that have changed since the last call, and how many tunnels each has now.
    public func takeChanges() -> [String: Int] {
        state.withLock { state in
            let changes = state.changed.map { ($0, state.table.listenerCount($0)) }
            state.changed.removeAll()
            return Dictionary(uniqueKeysWithValues: changes)
        }
    }

    /// `body` returns the endpoint that has more or fewer tunnels now.
    private func change(_ body: (inout State) -> String?) {
        let watcher = state.withLock { state -> (@Sendable () -> Void)? in
            guard let endpoint = body(&state), let watcher = state.watcher else { return nil }
            let isFirst = state.changed.isEmpty
            state.changed.insert(endpoint)
            return isFirst ? watcher : nil
        }
        watcher?()
    }

    /// The tunnel whose turn it is (UpstreamTable.select).
    public func select(
        endpoint: String, isHostName: Bool, home: Int?, isBound: Bool = false, excluding tried: [TunnelID]
    ) -> TunnelID? {
        state.withLock {
            $0.table.select(endpoint: endpoint, isHostName: isHostName, home: home, isBound: isBound, excluding: tried)
        }
    }

    /// The loops of the tunnels there are to select from, one for each.
    public func loops(of endpoint: String, isHostName: Bool) -> [Int] {
        state.withLock { $0.table.loops(of: endpoint, isHostName: isHostName) }
    }

    /// How many tunnels there are to select from.
    public func count(endpoint: String, isHostName: Bool, excluding tried: [TunnelID]) -> Int {
        state.withLock { $0.table.count(endpoint: endpoint, isHostName: isHostName, excluding: tried) }
    }

    /// How many tunnels serve each endpoint.
    public var listeners: [String: Int] { state.withLock { $0.table.listeners } }
    public var endpointCount: Int { state.withLock { $0.table.endpointCount } }
    public var tunnelCount: Int { state.withLock { $0.table.tunnelCount } }
}
