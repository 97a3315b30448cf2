// SPDX-License-Identifier: MIT
// What the HTTP proxy asks of its surroundings to reach an upstream: on a server a stream of a tunnel, on an agent a connection to the
// service. Interfaces only; everything here happens on one loop and moves no bytes.

import PikoCore
import PikoEngine

/// What an upstream is wanted for.
public struct UpstreamRequest {
    /// As the client spelled it; lower case where it came from the Host. Empty on an agent.
    public var endpoint: String
    /// The endpoint came from the Host: case does not count.
    public var isHostName: Bool
    /// The request says it was forwarded by a node and the caller believes it: local upstreams only.
    public var localOnly: Bool
    /// The loop, when the client's connection has served requests there and would rather stay (UpstreamTable.select); nil: strict turns.
    public var home: Int?
    /// A choice made already, on another loop: this tunnel if it is still there; then as if there were none.
    public var selected: TunnelID?
    /// Not these again.
    public var tried: [TunnelID]
    /// To be the handler of the connection, from its opening on.
    public var handler: any ConnectionHandler

    public init(endpoint: String, handler: any ConnectionHandler) {
        self.endpoint = endpoint
        self.handler = handler
        isHostName = false
        localOnly = false
        home = nil
        selected = nil
        tried = []
    }
}

/// A connection to an upstream, writable at once, its reading off, with the asker as handler.
public struct OpenedUpstream {
    public var connection: Connection
    /// It has carried requests before: may turn out to be closed by now.
    public var isReused: Bool
    /// Already known to have reached the other end. False: connectionDidOpen will say so (a stream not acknowledged yet).
    public var isConfirmed: Bool
    /// The tunnel it goes through; nil on an agent.
    public var tunnel: TunnelID?

    public init(_ connection: Connection, isReused: Bool, isConfirmed: Bool, tunnel: TunnelID?) {
        self.connection = connection
        self.isReused = isReused
        self.isConfirmed = isConfirmed
        self.tunnel = tunnel
    }
}

/// The answer to a request for an upstream.
public enum UpstreamAnswer {
    case opened(OpenedUpstream)
    /// The receiver hears later, never inside the call, unless it cancels before.
    case pending
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

    /// The receiver of a pending request wants it no more.
    func cancel(_ receiver: any UpstreamReceiver)

    /// Gives a connection back, the exchange on it being complete, with no handler and nothing on its way in either direction. `reusable`:
    /// it may carry another request; otherwise end it politely. A connection that broke or was aborted is not given back.
    func release(_ connection: Connection, reusable: Bool)
}
