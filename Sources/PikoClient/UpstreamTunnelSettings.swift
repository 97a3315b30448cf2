// SPDX-License-Identifier: MIT
// What an agent's tunnels are for and how to open them, and the request that opens one.
// Plain values.

import PikoCore
import PikoEngine

/// What a listener's tunnels are for and how to open them.
public struct UpstreamTunnelSettings: Sendable {
    public var endpointID: String
    public var url: ConfiguredURL
    /// Asked for each dial of a URL of https; nil: the system's roots.
    public var tls: (@Sendable () -> TLSContext)?
    /// Empty: none.
    public var token = ""
    /// A file with the token, read on every dial. Empty: none.
    public var tokenFile = ""
    /// Empty: none.
    public var tenantID = ""
    /// On the way to the server; nil: none.
    public var proxy: OutboundProxy?
    /// Tunnels to different nodes, where the cluster has as many.
    public var tunnels = 1
    /// Milliseconds within which the first dial must have succeeded; afterwards nothing is given up.
    public var firstTimeout: UInt64 = 30_000
    /// Milliseconds for each attempt.
    public var attemptTimeout: UInt64 = 10_000
    /// Requests are read here, and no service can answer in our name: a node may believe what is said of them (`x-piko-refused`).
    public var servesHTTP = false
    public var session = TunnelSettings(isClient: true)

    public init(endpointID: String, url: ConfiguredURL) {
        self.endpointID = endpointID
        self.url = url
    }

    /// - Parameters:
    ///   - listener: names the listener within its endpoint, so that a node can tell a tunnel dialled again from another agent's.
    ///   - connected: nodes that have a tunnel of this listener: one of them refuses.
    ///   - timeout: milliseconds.
    /// - Throws: `DialFailure.token`.
    func request(listener: UInt64, connected: [String], timeout: UInt64) throws(DialFailure) -> WebSocketRequest {
        let token = try TokenFile.read(tokenFile, otherwise: token)
        var fields: [(name: String, value: String)] = [("User-Agent", "piko")]
        if !token.isEmpty { fields.append(("Authorization", "Bearer \(token)")) }
        if !tenantID.isEmpty { fields.append(("x-piko-tenant-id", tenantID)) }
        fields.append(("x-piko-listener", String(listener, radix: 16)))
        if servesHTTP { fields.append(("x-piko-protocol", "http")) }
        if !connected.isEmpty { fields.append(("x-piko-connected", connected.joined(separator: ","))) }
        var request = WebSocketRequest(
            url: url, path: "/piko/v1/upstream/\(PercentEncoding.pathSegment(endpointID))", fields: fields, proxy: proxy, timeout: timeout)
        request.tls = tls?()
        return request
    }
}

/// Why a listener has a tunnel less than it wants, and when it tries again.
public struct UpstreamTrouble: Sendable {
    public let reason: String
    /// Of the dial; nil: a tunnel was lost.
    public let failure: DialFailure?
    /// Failures in a row, from 1.
    public let attempt: Int
    /// Milliseconds until the next try; nil: one is on its way.
    public let retryIn: UInt64?
    /// Tunnels that still serve.
    public let serving: Int
}

/// What happens on a listener's tunnels. All calls come on their loop.
public protocol UpstreamTunnelsHandler: AnyObject {
    /// A client's connection; give it a handler to accept it.
    func tunnels(_ tunnels: UpstreamTunnels, didAccept stream: Connection)
    /// A tunnel is open. `node`: nil for an original one, which does not name itself.
    func tunnels(_ tunnels: UpstreamTunnels, didConnectTo node: String?)
    /// A tunnel was lost or could not be opened.
    func tunnels(_ tunnels: UpstreamTunnels, didMeet trouble: UpstreamTrouble)
    /// The server broke a rule of a tunnel that does no harm, or opened more streams than it may. To be counted: no tunnel must be touched from here.
    func tunnelsDidMeetFault(_ tunnels: UpstreamTunnels)
    /// A tunnel has ended, whoever wanted it; nil: in order. What it means comes after this.
    func tunnels(_ tunnels: UpstreamTunnels, didClose error: EngineError?)
    /// The first dial failed for good: nothing is tried any more.
    func tunnels(_ tunnels: UpstreamTunnels, didFail failure: DialFailure)
    /// After `goAway`: on one more tunnel nothing can come any more.
    func tunnelsDidServe(_ tunnels: UpstreamTunnels)
    /// After `stop` or didFail, or when the last has ended after `goAway`: nothing follows.
    func tunnelsDidEnd(_ tunnels: UpstreamTunnels)
}

extension UpstreamTunnelsHandler {
    public func tunnelsDidMeetFault(_ tunnels: UpstreamTunnels) {}
    public func tunnels(_ tunnels: UpstreamTunnels, didClose error: EngineError?) {}
    public func tunnelsDidServe(_ tunnels: UpstreamTunnels) {}
}
