// SPDX-License-Identifier: MIT
// What the HTTP proxy asks of its surroundings to reach an upstream: on a server a stream of a tunnel or a connection to another node, on
// an agent a connection to the service. Interfaces only; everything here happens on one loop and moves no bytes.

import PikoCore
import PikoEngine

/// What an upstream is wanted for.
public struct UpstreamRequest {
    /// As the client spelled it; lower case where it came from the Host. Empty on an agent.
    public var endpoint: String
    /// The endpoint came from the Host: case does not count.
    public var isHostName: Bool
    /// The request was forwarded by a node: local upstreams only.
    public var localOnly: Bool
    /// What this node has for it was tried, or is not wanted: other nodes only.
    public var remoteOnly: Bool
    /// The loop, when the client's connection has served requests there and would rather stay (UpstreamTable.select); nil: strict turns.
    public var home: Int?
    /// The client's connection cannot leave `home`: tunnels of that loop only.
    public var isBound: Bool
    /// A stream of a session to another node will do: the request can be sent again, and needs no connection of its own.
    public var mayShare: Bool
    /// A choice made already, on another loop: this tunnel if it is still there; then as if there were none.
    public var selected: TunnelID?
    /// Not these again.
    public var tried: [TunnelID]
    /// Nor these nodes, by id.
    public var triedNodes: [String]
    /// It is not sent a second time, whatever happens to the first.
    public var isOnlyChance: Bool
    /// To be the handler of the connection, from its opening on.
    public var handler: any ConnectionHandler

    public init(endpoint: String, handler: any ConnectionHandler) {
        self.endpoint = endpoint
        self.handler = handler
        isHostName = false
        localOnly = false
        remoteOnly = false
        home = nil
        isBound = false
        mayShare = false
        selected = nil
        tried = []
        triedNodes = []
        isOnlyChance = false
    }
}

/// A connection to an upstream, writable at once, its reading off, with the asker as handler.
public struct OpenedUpstream {
    public var connection: Connection
    /// It has carried requests before: may turn out to be closed by now.
    public var isReused: Bool
    /// Already known to have reached the other end. False: connectionDidOpen will say so (a stream not acknowledged yet).
    public var isConfirmed: Bool
    /// A stream of a session beside the pool: not given back, it carries one request.
    public var isShared: Bool
    /// The tunnel it goes through; nil: it is from a pool.
    public var tunnel: TunnelID?
    /// An agent of ours serves HTTP behind it: its word that it passed a request to nobody counts.
    public var mayRefuse = false
    /// Takes it back after the exchange; nil: it carries one request and is closed then.
    public var pool: ConnectionPool?

    /// A new stream of a tunnel, not acknowledged yet.
    public init(_ stream: Connection, tunnel: TunnelID) {
        connection = stream
        isReused = false
        isConfirmed = false
        isShared = false
        self.tunnel = tunnel
    }

    /// A new stream of a session to the node of a pool, not acknowledged yet. The session may turn out to be lost by now.
    init(_ stream: Connection, beside pool: ConnectionPool) {
        connection = stream
        isReused = true
        isConfirmed = false
        isShared = true
        self.pool = pool
    }

    /// An open connection of a pool.
    public init(_ connection: Connection, isReused: Bool, pool: ConnectionPool) {
        self.connection = connection
        self.isReused = isReused
        isConfirmed = true
        isShared = false
        self.pool = pool
    }
}

/// The answer to a request for an upstream.
public enum UpstreamAnswer {
    case opened(OpenedUpstream)
    /// A dial of this pool: the receiver hears later, never inside the call, unless it cancels before.
    case pending(ConnectionPool)
    /// The tunnel lives on this other loop: come again from there, with it as `selected`.
    case elsewhere(TunnelID)
    case none(ProxyError)
}

/// Hears how a pending request for an upstream ended: one of these, once.
public protocol UpstreamReceiver: AnyObject {
    func upstreamDidOpen(_ upstream: OpenedUpstream)
    func upstreamDidFail(_ error: ProxyError)
}

/// Finds and opens upstreams. One per loop (and on an agent per listener); loop-confined.
public protocol UpstreamProvider: AnyObject {
    /// Answers at once or later through `receiver`, never both.
    func acquire(_ request: UpstreamRequest, for receiver: any UpstreamReceiver) -> UpstreamAnswer
}
