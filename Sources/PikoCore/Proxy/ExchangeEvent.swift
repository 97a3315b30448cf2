// SPDX-License-Identifier: MIT
// What can happen to an exchange.
// Plain values; whoever runs the exchange turns what its connections, flows and timers say into them.

/// One thing that happened.
public enum ExchangeEvent: Equatable, Sendable {
    /// An upstream can be written to. `confirmed`: it has already reached the other end. `isLast`: were it lost, there would be no
    /// other to try: a fresh connection to the only service.
    case upstreamOpened(confirmed: Bool, isLast: Bool)
    /// The other end took the stream that was opened, or may have.
    case upstreamConfirmed
    /// There is no upstream: the answer to `select`.
    case upstreamRefused(ProxyError)
    /// The upstream that `select` found could not be reached: nothing was sent, another may be asked.
    case dialFailed(ProxyError)
    /// Another node, or an agent, answered that it has passed the request to nobody: as if it had never been sent.
    case upstreamDeclined(ProxyError)
    /// The upstream's connection ended or broke, or it sends no more.
    case upstreamClosed
    /// A whole response head came and is in order.
    case responseHead(ResponseTraits)
    /// What the upstream sent is no acceptable head.
    case badResponse
    /// The request's body is through, or cannot be.
    case uploadEnded(BodyEnd)
    /// The response's body is through, or cannot be.
    case downloadEnded(BodyEnd)
    /// The client's connection ended or broke.
    case clientGone
    /// The deadline for the response head passed. `stuck`: the body waits for the upstream, not for the client.
    case clockFired(stuck: Bool)
    /// A second after `startLinger`. `moving`: bytes of the body went on meanwhile.
    case lingerFired(moving: Bool)
    /// The idle limit after `watchUpload`. `moving`: bytes of either body went on meanwhile, or wait for the upstream.
    case uploadWatched(moving: Bool)
    /// A total limit passed: for reading the request (408 where nothing was answered yet), or for writing the response.
    case overdue
}

/// How a body's way through ended, for whichever direction.
public enum BodyEnd: UInt8, Sendable {
    case complete
    /// Its sender's side broke, ended early, or stalled.
    case sourceBroke
    /// Its receiver's side broke.
    case sinkBroke
    /// It is malformed.
    case malformed
}
