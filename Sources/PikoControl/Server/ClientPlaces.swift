// SPDX-License-Identifier: MIT
// How many connections each client has to a node, shared by its loops behind a lock that is held for one change. As large as there are clients
// connected. Any thread.

import Synchronization

/// Counts connections by client (SocketAddress.network).
final class ClientPlaces: Sendable {
    private let counts = Mutex<[UInt64: Int]>([:])

    /// A place for one more connection, which is given back when nobody holds it any more. nil: the client has as many as it may.
    func take(for client: UInt64, limit: Int) -> ClientPlace? {
        let isTaken = counts.withLock { counts in
            let count = counts[client, default: 0]
            guard count < limit else { return false }
            counts[client] = count + 1
            return true
        }
        return isTaken ? ClientPlace(client, of: self) : nil
    }

    /// Clients that have a connection.
    var clientCount: Int { counts.withLock { $0.count } }

    fileprivate func giveBack(_ client: UInt64) {
        counts.withLock { counts in
            guard let count = counts[client] else { return }
            counts[client] = count > 1 ? count - 1 : nil
        }
    }
}

/// One connection's place among those of its client. The connection holds it.
final class ClientPlace: Sendable {
    private let client: UInt64
    private let places: ClientPlaces

    fileprivate init(_ client: UInt64, of places: ClientPlaces) {
        self.client = client
        self.places = places
    }

    deinit { places.giveBack(client) }
}
