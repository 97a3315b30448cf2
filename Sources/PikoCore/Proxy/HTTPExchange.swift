// SPDX-License-Identifier: MIT
// One request and its response through the proxy, as a value: takes events, says what to do. No sockets, no clock, no memory of its own;
// any thread. It decides retries, early responses, and what each break means for the other side; it never sees a byte.

/// How the proxy has the body of a request.
public enum RequestBody: UInt8, Sendable {
    /// None, or all of it is held already: the request can be sent again as it is.
    case whole
    /// It comes in and is held as well as passed on, up to a bound: what was sent can be sent again.
    case held
    /// It is passed on and gone.
    case streamed
}

/// The decisions of one request. Give it every event in order; carry out what it says in order.
///
/// Never says two heads to one client. Says `finish` exactly once, last; nothing after it whatever comes.
public struct HTTPExchange: Sendable {
    public enum Phase: UInt8, Sendable {
        /// Waiting for an upstream.
        case selecting
        /// The request is with an upstream; no final head yet.
        case waiting
        /// The final head went to the client; the response's body is on its way.
        case responding
        /// The response is through; the rest of the request's body is still on its way to a service that may want it.
        case finishing
        /// Another protocol runs through.
        case tunnel
        case over
    }

    private enum Upload: UInt8 { case complete, held, unsent, flowing, broken }

    /// Upstreams a request is tried on, the first one included.
    public static let mostAttempts = 3
    /// Heads of one response, interim ones included; a service that sends more never comes to the point.
    static let mostHeads = 100

    public private(set) var phase = Phase.selecting
    private let request: RequestTraits
    private var mayKeepClient: Bool
    private let clientKnowsEnd: Bool
    private var upload: Upload
    /// All of the request is held, or will be: what flows away cannot be sent again, also once it is through.
    public let isHeld: Bool
    private var attempts = 0
    private var isLastUpstream = false
    private var isConfirmed = false
    /// Heads of this response so far, interim ones too. After the first the request is not sent again.
    private var heads = 0
    private var sawContinue = false
    /// The service goes on reading after its response.
    private var canFinishUpload = false
    private var isReusable = false
    private var keepsClient = false
    private var hasDownloaded = false
    private var refusal: ProxyError?

    /// - Parameters:
    ///   - mayKeepClient: the client's connection may go on after this request as far as this process is concerned.
    ///   - clientKnowsEnd: the client expects the end it asked for; `close` is said only where there is another reason.
    public init(_ request: RequestTraits, body: RequestBody, mayKeepClient: Bool, clientKnowsEnd: Bool = false) {
        self.request = request
        self.mayKeepClient = mayKeepClient
        self.clientKnowsEnd = clientKnowsEnd
        isHeld = body != .streamed
        upload = body == .whole ? .complete : (body == .held ? .held : .unsent)
    }

    /// The request's body is not through yet.
    public var isUploading: Bool { upload == .held || upload == .flowing || upload == .unsent }

    /// It can be sent again even when a service may have acted on it.
    public var isRepeatable: Bool { isHeld && request.method.isIdempotent }

    /// The client asked to hear 100 (Continue) before it sends its body, and has not.
    public var awaitsContinue: Bool { request.expectsContinue && !sawContinue }

    /// From now on the client's connection ends with this request.
    public mutating func stopKeepingClient() { mayKeepClient = false }

    /// What to do first.
    public func begin() -> Directives {
        isUploading ? Directives(.startClock, .watchUpload, .select) : Directives(.startClock, .select)
    }

    /// What to do about an event.
    public mutating func handle(_ event: ExchangeEvent) -> Directives {
        if phase == .over { return Directives() }
        switch event {
        case .upstreamOpened(let confirmed, let isLast): return upstreamOpened(confirmed, isLast)
        case .upstreamConfirmed:
            isConfirmed = true
            return Directives()
        case .upstreamRefused(let error): return phase == .selecting ? respond(refusal ?? error) : Directives()
        case .dialFailed(let error): return phase == .selecting ? dialFailed(error) : Directives()
        case .upstreamDeclined(let error): return phase == .waiting ? lost(error) : Directives()
        case .upstreamClosed: return upstreamClosed()
        case .responseHead(let head): return phase == .waiting ? responseHead(head) : Directives()
        case .badResponse: return phase == .waiting ? respond(.badResponse) : Directives()
        case .uploadEnded(let end): return phase == .tunnel ? tunnelEnded(end, isUpload: true) : uploadEnded(end)
        case .downloadEnded(let end): return phase == .tunnel ? tunnelEnded(end, isUpload: false) : downloadEnded(end)
        case .clientGone: return clientGone()
        case .clockFired(let stuck): return clockFired(stuck)
        case .lingerFired(let moving): return lingerFired(moving)
        case .uploadWatched(let moving): return uploadWatched(moving)
        case .overdue: return overdue()
        }
    }
}

// MARK: The upstream before its response

extension HTTPExchange {
    private mutating func upstreamOpened(_ confirmed: Bool, _ isLast: Bool) -> Directives {
        guard phase == .selecting else { return Directives() }
        phase = .waiting
        attempts += 1
        isConfirmed = confirmed
        isLastUpstream = isLast
        guard upload == .unsent else { return Directives(.sendRequest) }
        upload = .flowing
        return Directives(.sendRequest, .startUpload)
    }

    /// A failed dial counts as an attempt: a client waits for so many deadlines and no more.
    private mutating func dialFailed(_ error: ProxyError) -> Directives {
        attempts += 1
        refusal = refusal ?? error
        guard error.retry == .always, attempts < Self.mostAttempts else { return respond(refusal ?? error) }
        return Directives(.select)
    }

    private mutating func upstreamClosed() -> Directives {
        switch phase {
        case .waiting: return lost(isConfirmed ? .lost : .unreachable)
        case .finishing: return breakOff(.complete, .close)
        default: return Directives()  // the flows say what it means
        }
    }

    private mutating func lost(_ error: ProxyError) -> Directives {
        guard canSendAgain(after: error) else { return respond(refusal?.retry == .idempotent ? .lost : error) }
        // That a service may have seen it once is never forgotten.
        if refusal?.retry != .idempotent { refusal = error }
        phase = .selecting
        return Directives(.abortUpstream, .select)
    }

    /// RFC 9110 9.2.2: a request that a service may have acted on is sent again only where that means the same as once.
    private func canSendAgain(after error: ProxyError) -> Bool {
        guard heads == 0, attempts < Self.mostAttempts, !isLastUpstream else { return false }
        guard isHeld else { return false }
        return error.retry == .always || (error.retry == .idempotent && request.method.isIdempotent)
    }

    private mutating func clockFired(_ stuck: Bool) -> Directives {
        guard phase == .selecting || phase == .waiting else { return Directives() }
        // A client that takes its time to send is no fault of the service.
        if phase == .waiting, isUploading, !stuck { return Directives(.startClock) }
        return respond(.timeout)
    }

    private mutating func overdue() -> Directives {
        switch phase {
        case .selecting, .waiting: return respond(isUploading ? .clientTimeout : .timeout)
        default: return breakOff(.overdue, .abort)
        }
    }
}

// MARK: The response

extension HTTPExchange {
    private mutating func responseHead(_ head: ResponseTraits) -> Directives {
        heads += 1
        if heads > Self.mostHeads { return respond(.badResponse) }
        if head.isInterim {
            sawContinue = sawContinue || head.status == 100
            return request.version == .http10 ? Directives() : Directives(.writeInterim)
        }
        if head.isUpgrade { return switchProtocols() }
        phase = .responding
        isReusable = head.keepAlive
        canFinishUpload = head.keepAlive && (sawContinue || !request.expectsContinue) && upload != .broken
        let needsClose = head.framing == .untilClose || (request.version == .http10 && head.framing == .chunked)
        let goesOn = mayKeepClient && !needsClose && (upload == .complete || canFinishUpload)
        keepsClient = request.keepAlive && goesOn
        return Directives(.stopClock, .writeResponse(closes: !keepsClient && !(clientKnowsEnd && goesOn)), .startDownload)
    }

    private mutating func switchProtocols() -> Directives {
        guard upload == .complete else { return respond(.badResponse) }
        phase = .tunnel
        upload = .flowing
        return Directives(.stopClock, .writeResponse(closes: false), .startTunnel)
    }

    private mutating func downloadEnded(_ end: BodyEnd) -> Directives {
        guard phase == .responding else { return Directives() }
        hasDownloaded = true
        switch end {
        case .complete: return responded()
        case .sinkBroke: return breakOff(.clientGone, .abort)
        case .sourceBroke: return breakOff(.truncated, .abort)
        case .malformed: return breakOff(.badResponseBody, .abort)
        }
    }

    /// The response is through. A request's body that still moves may finish: its service can be reading it.
    private mutating func responded() -> Directives {
        if upload == .complete { return complete() }
        guard canFinishUpload, upload != .broken else { return breakOff(.complete, .close) }
        phase = .finishing
        return Directives(.startLinger)
    }

    private mutating func complete() -> Directives {
        phase = .over
        return Directives(.releaseUpstream(reusable: isReusable), .finish(.complete, keepsClient ? .keep : .close))
    }

    private mutating func lingerFired(_ moving: Bool) -> Directives {
        guard phase == .finishing else { return Directives() }
        return moving ? Directives(.startLinger) : breakOff(.complete, .close)
    }
}

// MARK: The request's body

extension HTTPExchange {
    private mutating func uploadEnded(_ end: BodyEnd) -> Directives {
        guard isUploading else { return Directives() }
        switch end {
        case .complete: return uploaded()
        case .sourceBroke:
            upload = .broken
            return breakOff(phase == .finishing ? .complete : .cutShort, .abort)
        case .malformed:
            upload = .broken
            return badBody()
        case .sinkBroke:
            // The upstream may have answered before it broke: its close says whether it did.
            upload = .broken
            return phase == .finishing ? breakOff(.complete, .close) : Directives()
        }
    }

    private mutating func uploaded() -> Directives {
        upload = .complete
        switch phase {
        case .waiting: return Directives(.startClock)
        case .finishing: return complete()
        default: return Directives()
        }
    }

    /// A body that was announced and does not come, while nothing else moves either, would hold its stream for ever.
    private mutating func uploadWatched(_ moving: Bool) -> Directives {
        guard isUploading, phase != .tunnel, phase != .finishing else { return Directives() }
        return moving ? Directives(.watchUpload) : overdue()
    }

    private mutating func badBody() -> Directives {
        switch phase {
        case .selecting, .waiting:
            var list = dropUpstream()
            list.append(.respondBadBody)
            list.append(.finish(.badBody, .close))
            phase = .over
            return list
        default: return breakOff(.badBody, phase == .finishing ? .close : .abort)
        }
    }
}

// MARK: Ends

extension HTTPExchange {
    private mutating func tunnelEnded(_ end: BodyEnd, isUpload: Bool) -> Directives {
        if isUpload { upload = end == .complete ? .complete : .broken } else { hasDownloaded = true }
        guard end == .complete else {
            let isClient = (end == .sourceBroke) == isUpload
            return breakOff(isClient ? .clientGone : .upstreamGone, .abort)
        }
        guard upload == .complete, hasDownloaded else { return Directives() }
        phase = .over
        return Directives(.releaseUpstream(reusable: false), .finish(.complete, .close))
    }

    private mutating func clientGone() -> Directives {
        if phase == .finishing { return breakOff(.complete, .abort) }
        return breakOff(isUploading && phase != .tunnel ? .cutShort : .clientGone, .abort)
    }

    /// An answer of our own instead of the upstream's.
    private mutating func respond(_ error: ProxyError) -> Directives {
        var list = dropUpstream()
        let closes = !(request.keepAlive && mayKeepClient && upload == .complete)
        list.append(.respond(error, closes: closes))
        list.append(.finish(.failed, closes ? .close : .keep))
        phase = .over
        return list
    }

    /// The end in the middle of something.
    private mutating func breakOff(_ outcome: ExchangeOutcome, _ fate: ClientFate) -> Directives {
        var list = dropUpstream()
        if (phase == .responding || phase == .tunnel) && !hasDownloaded { list.append(.stopDownload) }
        list.append(.finish(outcome, fate))
        phase = .over
        return list
    }

    private func dropUpstream() -> Directives {
        if phase == .selecting { return Directives(.cancelSelection) }
        return upload == .flowing || upload == .held ? Directives(.stopUpload, .abortUpstream) : Directives(.abortUpstream)
    }
}

extension KnownMethod {
    /// RFC 9110 9.2.2: asking twice means the same as once. A method that is not known here may mean anything.
    var isIdempotent: Bool {
        switch self {
        case .get, .head, .put, .delete, .options, .trace: true
        case .other, .post, .patch, .connect: false
        }
    }
}
