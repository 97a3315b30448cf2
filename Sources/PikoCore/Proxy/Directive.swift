// SPDX-License-Identifier: MIT
// What an exchange wants done next, and the short list in which it says so. Plain values without memory of their own; any thread.
// Who carries them out (PikoControl/Proxy) does so in order and decides nothing.

/// One thing to do.
public enum Directive: Equatable, Sendable {
    /// Find an upstream, none that was tried; answered with upstreamOpened or upstreamRefused.
    case select
    /// The pending selection is wanted no more.
    case cancelSelection
    /// Write the request's head and what is held of its body to the upstream.
    case sendRequest
    /// Pass the rest of the request's body on; answered with uploadEnded unless stopped.
    case startUpload
    case stopUpload
    /// Set the deadline for the response head anew; answered with clockFired unless stopped.
    case startClock
    case stopClock
    /// Look after one second whether the upload still moves; answered with lingerFired.
    case startLinger
    /// Look after the idle limit whether anything still moves; answered with uploadWatched.
    case watchUpload
    /// Pass the interim head just read on.
    case writeInterim
    /// Pass the final head just read on; `closes`: and tell the client that the connection ends with this response.
    case writeResponse(closes: Bool)
    /// Pass the response's body on; answered with downloadEnded unless stopped.
    case startDownload
    case stopDownload
    /// Pass both directions on raw; answered with uploadEnded and downloadEnded.
    case startTunnel
    /// The upstream is complete and goes back to where it came from.
    case releaseUpstream(reusable: Bool)
    /// End the upstream now, so that the other end notices.
    case abortUpstream
    /// Answer the client with an error of our own; `closes` as above.
    case respond(ProxyError, closes: Bool)
    /// Answer that the body is malformed.
    case respondBadBody
    /// Last: how it ended, and what becomes of the client's connection.
    case finish(ExchangeOutcome, ClientFate)
}

/// What becomes of the client's connection after an exchange.
public enum ClientFate: UInt8, Sendable {
    /// It takes the next request.
    case keep
    /// It ends politely behind what was written, with time for a client that is still sending to read that.
    case close
    /// It ends at once, so that the client sees that the response is not complete.
    case abort
}

/// How an exchange ended, for log and counters.
public enum ExchangeOutcome: UInt8, Sendable {
    case complete
    /// The client left.
    case clientGone
    /// The client broke off within the body of its request.
    case cutShort
    /// The client's body was malformed.
    case badBody
    /// The upstream ended what came after an upgrade.
    case upstreamGone
    /// The upstream broke off its response.
    case truncated
    /// The response's body was malformed.
    case badResponseBody
    /// Answered with an error of our own.
    case failed
    /// A time limit for the whole request or response passed, or for a body that stands still.
    case overdue
}

/// A few directives in order, held in place.
public struct Directives: Sequence, Sendable {
    private var storage = (Directive.select, Directive.select, Directive.select, Directive.select, Directive.select)
    public private(set) var count = 0

    public static let capacity = 5

    @inline(__always)
    init() {}

    @inline(__always)
    init(_ one: Directive) {
        storage.0 = one
        count = 1
    }

    @inline(__always)
    init(_ one: Directive, _ two: Directive) {
        (storage.0, storage.1) = (one, two)
        count = 2
    }

    @inline(__always)
    init(_ one: Directive, _ two: Directive, _ three: Directive) {
        (storage.0, storage.1, storage.2) = (one, two, three)
        count = 3
    }

    mutating func append(_ directive: Directive) {
        switch count {
        case 0: storage.0 = directive
        case 1: storage.1 = directive
        case 2: storage.2 = directive
        case 3: storage.3 = directive
        default:
            precondition(count == 4, "an exchange says at most five things at once")
            storage.4 = directive
        }
        count += 1
    }

    /// Directive `index`, 0 to count.
    @inline(__always)
    public subscript(index: Int) -> Directive {
        precondition(index < count, "Directives: index out of range")
        switch index {
        case 0: return storage.0
        case 1: return storage.1
        case 2: return storage.2
        case 3: return storage.3
        default: return storage.4
        }
    }

    public struct Iterator: IteratorProtocol {
        let list: Directives
        var at = 0

        @inline(__always)
        public mutating func next() -> Directive? {
            guard at < list.count else { return nil }
            defer { at += 1 }
            return list[at]
        }
    }

    @inline(__always)
    public func makeIterator() -> Iterator { Iterator(list: self) }
}
