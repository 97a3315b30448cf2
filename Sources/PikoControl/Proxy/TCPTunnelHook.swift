// SPDX-License-Identifier: MIT
// Where the HTTP proxy of a server hands over `GET /_piko/v1/tcp/{endpoint}`: the WebSocket of a TCP client. An interface only; the
// handshake and the relay behind it are others' business.

import PikoCore
import PikoEngine

/// A client that wants the bytes of a TCP endpoint.
public struct TCPTunnelRequest {
    public var endpoint: String
    /// A proper WebSocket upgrade. Valid during the call.
    public var head: RequestHead
    /// A member forwarded it: tunnels of this node only.
    public var localOnly: Bool
    /// A choice made already, on another loop.
    public var selected: TunnelID?
    /// The request for another node, should every tunnel here fail it: for HTTPProxy.takeBack. nil where localOnly.
    public var fallback: CarriedRequest?
}

/// What became of such a client.
public enum TCPTunnelAnswer {
    /// The connection has another handler, or was upgraded, and is not the proxy's any more.
    case taken
    /// The tunnel lives on this other loop: the connection moves there and asks again.
    case elsewhere(TunnelID)
    /// It goes to another node: the proxy passes the upgrade on as any other.
    case otherNode
    /// Nothing was written: the proxy answers.
    case none(ProxyError)
}

/// Takes over TCP clients. One per loop; loop-confined.
public protocol TCPTunnelHook: AnyObject {
    /// Called inside the connection's didRead; the head counts as taken, what follows it stays kept.
    func takeOver(_ connection: Connection, _ request: TCPTunnelRequest) -> TCPTunnelAnswer
}
