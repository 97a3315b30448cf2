// SPDX-License-Identifier: MIT
// What a head means, as plain values without bytes: what the exchange decides on. Pure; any thread.
// It holds no reference to the head it came from, so it outlives it.

/// The version of a message's first line.
public enum HTTPVersion: UInt8, Sendable { case http10, http11 }

/// The methods that change what a message means to Piko; every other token is `other` and passed on as it is.
public enum KnownMethod: UInt8, Sendable, CaseIterable { case other, get, head, post, put, delete, connect, options, trace, patch }

/// Where the body of a message ends (RFC 9112 6.3).
public enum BodyFraming: Sendable, Equatable {
    /// No body: none announced, a length of 0, or none allowed.
    case empty
    /// So many bytes, at least 1, at most Int64.max.
    case length(UInt64)
    /// A chunked body, to be followed by the chunk scanner.
    case chunked
    /// Responses only: until the sender's end of stream; the connection ends with it.
    case untilClose
}

/// What a request head means.
public struct RequestTraits: Sendable, Equatable {
    public var method = KnownMethod.other
    public var version = HTTPVersion.http11
    /// Never `untilClose`.
    public var framing = BodyFraming.empty
    /// The client wants to go on with this connection: HTTP/1.1 without `close`, or HTTP/1.0 with `keep-alive` and without
    /// `close`.
    public var keepAlive = false
    /// HTTP/1.1, an Upgrade field, and Connection names it. The protocols are the values of `KnownField.upgrade`.
    public var isUpgrade = false
    /// HTTP/1.1 and `Expect: 100-continue`. The field is passed on.
    public var expectsContinue = false
    /// `TE: trailers` was sent.
    public var acceptsTrailers = false
    /// `x-piko-forward: true` was sent. Counts only from a cluster member; whoever asks must check where it came from.
    public var claimsForward = false
    /// There is an `x-piko-node` (NodeTrail).
    public var hasTrail = false
    /// There is an `x-piko-authorization` that is not empty.
    public var hasToken = false

    public init() {}
}

/// What a response head means, given the request it answers.
public struct ResponseTraits: Sendable, Equatable {
    /// 100 to 999; above 599 treat as 500 (RFC 9110 15).
    public var status: UInt16 = 0
    public var version = HTTPVersion.http11
    public var framing = BodyFraming.empty
    /// The service's connection can take another request after this response. False for `untilClose` and after an upgrade.
    public var keepAlive = false
    /// 1xx but not 101: another head follows. Not to be passed on to an HTTP/1.0 client.
    public var isInterim = false
    /// `x-piko-refused: 1` with 502 or 503: a node or an agent passed the request to nobody. Counts only from those.
    public var isRefused = false
    /// 101, or 2xx to CONNECT: the connection belongs to another protocol behind this head.
    public var isUpgrade = false

    public init() {}
}
