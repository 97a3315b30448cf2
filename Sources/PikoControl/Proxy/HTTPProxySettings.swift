// SPDX-License-Identifier: MIT
// What an HTTP proxy is told once, and the little that connections carry from loop to loop.
// Plain values.

import PikoCore
import PikoEngine

/// The rules of one HTTP proxy.
public struct HTTPProxySettings: Sendable {
    /// At which end of a tunnel it stands.
    public enum Role: Sendable {
        /// Clients are strangers: requests name an endpoint, `/_piko` is reserved, X-Forwarded-* are added.
        case server
        /// Clients are nodes: requests go to the one service as they are.
        case agent
    }

    public var role: Role
    /// This node's id, for NodeTrail; an agent needs none.
    public var nodeID = ""
    public var headLimits = HeadLimits()
    /// An agent's: in front of the path of every request; empty, or with a leading slash and without a trailing one.
    public var pathPrefix = ""
    /// Milliseconds until the response head; 0: no limit. So all that follow.
    public var timeout: UInt64 = 30_000
    /// The request head, from its first byte (on a new connection: from its opening).
    public var readHeaderTimeout: UInt64 = 10_000
    /// Between requests; and a request's body that stands still, with nothing else moving either, is given up after one to two times this.
    public var idleTimeout: UInt64 = 300_000
    /// The same once this process leaves: time for a request that is on its way.
    public var drainIdleTimeout: UInt64 = 2_000
    /// The whole request, from the end of its head.
    public var readTimeout: UInt64 = 0
    /// The whole response, from the end of the request's head.
    public var writeTimeout: UInt64 = 0

    public init(role: Role) { self.role = role }

    /// Of TLS with a client: as long as a head may take, 10 s where that has no limit.
    public var handshakeTimeout: UInt64 { readHeaderTimeout == 0 ? 10_000 : readHeaderTimeout }
}

/// A client's connection that arrives from another loop, with what was found out about its request there.
public struct ProxyArrival: Sendable {
    /// nil: it has not moved and selects anew.
    var selected: TunnelID?
    /// How often the connection has moved for this request.
    var moves: Int
    var requestsServed: UInt64
    /// The client had half closed before this request was read.
    var clientEnded: Bool
    /// A request that is read already; nil: its head is among the connection's bytes and is read again.
    var request: CarriedRequest?
}

/// A request on its way to another loop, or from whoever else had taken its connection.
public struct CarriedRequest: Sendable {
    var exchange: HTTPExchange
    var traits: RequestTraits
    var endpoint: String
    var endpointIsFromHost: Bool
    var reach: RequestReach
    var isForwarded: Bool
    var trail: [UInt8]
    var pass: TokenPass?
    /// The head as it goes on, and what is held of the body.
    var message: [UInt8]
    /// Counts the memory of a long one.
    var companion: (any AnyObject & Sendable)?
    var hopPart: Range<Int>
    var bodyToCome: UInt64
    var tried: [TunnelID]
    var triedNodes: [String]
    /// Of the clock that all loops share.
    var readDeadline: UInt64
    var writeDeadline: UInt64
    var record: ExchangeRecord
    /// Handed over whole: only the loop it arrives at touches it.
    nonisolated(unsafe) var accessEntry: AccessLogEntry?
}

/// Where a request may go.
enum RequestReach: Sendable {
    /// Tunnels of this node and other nodes.
    case everywhere
    /// Tunnels of this node: it was forwarded already.
    case here
    /// Other nodes: a TCP client, whose tunnels here have their own way (TCPTunnelHook).
    case otherNodes
}

/// What log and counters want to know of a request at its end.
struct ExchangeRecord: Sendable {
    /// EventLoop.nanoseconds.
    var started: UInt64 = 0
    var requestBytes: UInt64 = 0
    var requestHeadBytes: UInt64 = 0
    var responseBytes: UInt64 = 0
    var status: UInt16 = 0
    /// The node that answered, or was asked last; nil: a tunnel of this node, or a service.
    var node: String?
    /// What the client was told instead of a response; nil: nothing of our own.
    var failure: StaticString?
}
