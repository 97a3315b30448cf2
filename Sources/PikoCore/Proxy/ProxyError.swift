// SPDX-License-Identifier: MIT
// Why a request got no answer from its service: what the client is told, whose fault it was, and whether another upstream may be tried.
// A plain value, any thread. Faults of a head are HeadFault; failures of the engine are EngineError.

/// A request that failed between its head and its response.
public struct ProxyError: Error, Equatable, Hashable, Sendable {
    /// What happened; decides status and text.
    public enum Kind: UInt8, Sendable, CaseIterable {
        /// The request names no endpoint.
        case missingEndpoint
        /// No upstream serves the endpoint (any more).
        case noUpstreams
        /// An upstream was chosen, but could not be reached or went away before its response.
        case unreachable
        /// No response head within the timeout.
        case timeout
        /// What the upstream sent is no response that can be passed on.
        case badResponse
        /// A bound of this process is reached.
        case overloaded
        /// Nothing is served at this path of the reserved prefix.
        case notFound
        /// A method that a reverse proxy does not serve (CONNECT).
        case unsupportedMethod
        /// A WebSocket was expected at this path.
        case upgradeRequired
        /// The client did not finish its request in time.
        case clientTimeout
        /// The client sends more requests than it may.
        case tooManyRequests
        /// The request brought no token that permits it; `tokenFault` says why.
        case unauthorized
    }

    /// Whose fault it was, for counters and the log.
    public enum Source: UInt8, Sendable {
        case client, node, upstream
    }

    /// Whether the request may be sent again, provided that all of it is still held.
    public enum Retry: UInt8, Sendable {
        /// Whoever is asked will say the same.
        case never
        /// It may have been acted on: only where sending twice means the same as once (RFC 9110 9.2.2).
        case idempotent
        /// It has reached no service.
        case always
    }

    public let kind: Kind
    public let source: Source
    public let retry: Retry
    /// Of `unauthorized` only.
    public let tokenFault: TokenFault?

    public init(_ kind: Kind, source: Source, retry: Retry = .never) {
        self.kind = kind
        self.source = source
        self.retry = retry
        tokenFault = nil
    }

    /// A request that its token does not permit.
    public init(_ fault: TokenFault) {
        kind = .unauthorized
        source = .client
        retry = .never
        tokenFault = fault
    }
}

extension ProxyError {
    public static let missingEndpoint = ProxyError(.missingEndpoint, source: .client)
    public static let noUpstreams = ProxyError(.noUpstreams, source: .node)
    /// A dial or an opening that failed: nothing was sent.
    public static let unreachable = ProxyError(.unreachable, source: .upstream, retry: .always)
    /// Lost after the request may have been seen.
    public static let lost = ProxyError(.unreachable, source: .upstream, retry: .idempotent)
    /// Another node had no upstream for it, or no room, and passed it to nobody.
    public static let declined = ProxyError(.noUpstreams, source: .upstream, retry: .always)
    public static let timeout = ProxyError(.timeout, source: .upstream)
    public static let badResponse = ProxyError(.badResponse, source: .upstream)
    public static let overloaded = ProxyError(.overloaded, source: .node)
    public static let notFound = ProxyError(.notFound, source: .client)
    public static let unsupportedMethod = ProxyError(.unsupportedMethod, source: .client)
    public static let upgradeRequired = ProxyError(.upgradeRequired, source: .client)
    public static let clientTimeout = ProxyError(.clientTimeout, source: .client)
    public static let tooManyRequests = ProxyError(.tooManyRequests, source: .client)

    /// Whether it is certain that no service has seen the request: whoever sent it may send it elsewhere.
    public var reachedNoService: Bool {
        switch kind {
        case .noUpstreams, .overloaded: true
        case .unreachable: retry != .idempotent
        default: false
        }
    }

    /// The status the client is answered with (protocol.md, "Choosing the endpoint of an HTTP request").
    public var status: UInt16 {
        switch kind {
        case .missingEndpoint: 400
        case .unauthorized: tokenFault?.status ?? 401
        case .notFound: 404
        case .clientTimeout: 408
        case .upgradeRequired: 426
        case .tooManyRequests: 429
        case .unsupportedMethod: 501
        case .noUpstreams, .unreachable, .badResponse: 502
        case .overloaded: 503
        case .timeout: 504
        }
    }

    /// The `error` of the answer; lower case, plain ASCII without quotes.
    public var text: StaticString {
        switch kind {
        case .missingEndpoint: "missing endpoint id"
        case .unauthorized: tokenFault?.text ?? "invalid token"
        case .noUpstreams: "no available upstreams"
        case .unreachable, .badResponse: "upstream unreachable"
        case .timeout: "upstream timeout"
        case .overloaded: "overloaded"
        case .notFound: "not found"
        case .unsupportedMethod: "method not supported"
        case .upgradeRequired: "websocket upgrade required"
        case .clientTimeout: "request timeout"
        case .tooManyRequests: "too many requests"
        }
    }
}
