// SPDX-License-Identifier: MIT
// Doing what an exchange says, in order.
// Loop-confined. No decision is made here: what is not plain execution belongs in HTTPExchange.

import PikoCore
import PikoEngine

extension ProxyConnection {
    /// Milliseconds between looks at an upload that goes on behind its response.
    private static let lingerInterval: UInt64 = 1000
    /// A response's body of at most so many bytes leaves in one piece with its head.
    private static let inlineLimit: UInt64 = 16 * 1024
    static let uploadTag = 1
    static let downloadTag = 2

    /// Tells the exchange and does what it says.
    func handle(_ event: ExchangeEvent) {
        guard state == .exchange else { return }
        perform(exchange.handle(event))
    }

    func perform(_ list: Directives) {
        for index in 0..<list.count { perform(list[index]) }
    }

    private func perform(_ directive: Directive) {
        switch directive {
        case .select: select()
        case .cancelSelection: cancelSelection()
        case .sendRequest: sendRequest()
        case .startUpload: startUpload()
        case .stopUpload: stopUpload()
        case .startClock: setClock(proxy.settings.timeout)
        case .stopClock: setClock(0)
        case .startLinger: startLinger()
        case .watchUpload: watchUpload()
        case .writeInterim: writeInterim()
        case .writeResponse(let closes): writeResponse(closes: closes)
        case .startDownload: startDownload()
        case .stopDownload: stopDownload()
        case .startTunnel: startTunnel()
        case .releaseUpstream(let reusable): releaseUpstream(reusable: reusable)
        case .abortUpstream: abortUpstream()
        case .respond(let error, let closes): respond(error, closes: closes)
        case .respondBadBody: answer(400, "malformed chunked body", closes: true)
        case .finish(let outcome, let fate): finish(outcome, fate)
        }
    }

    // MARK: Finding an upstream

    private func select() {
        var request = UpstreamRequest(endpoint: endpoint, handler: self)
        request.isHostName = endpointIsFromHost
        request.localOnly = reach == .here
        request.remoteOnly = reach == .otherNodes
        request.isBound = isOfSession
        request.home = requestsServed > 0 || isOfSession ? proxy.index : nil
        request.mayShare = exchange.isHeld && !traits.isUpgrade && !hasTriedSession
        request.selected = selected
        request.tried = tried
        request.triedNodes = triedNodes
        request.isOnlyChance = !exchange.isRepeatable
        selected = nil
        switch proxy.provider.acquire(request, for: self) {
        case .opened(let opened): adopt(opened)
        case .pending(let pool):
            self.pool = pool
            isSelecting = true
        case .elsewhere(let tunnel): go(to: tunnel)
        case .none(let error): handle(.upstreamRefused(error))
        }
    }

    private func adopt(_ opened: OpenedUpstream) {
        upstream = opened.connection
        tunnel = opened.tunnel
        pool = opened.pool
        record.node = opened.pool?.settings.node
        upstreamIsReused = opened.isReused
        upstreamMayRefuse = opened.mayRefuse
        upstreamIsShared = opened.isShared
        if opened.isShared { hasTriedSession = true }
        upstreamIsStale = false
        upstreamIsDirty = false
        responseScanner.reset()
        opened.connection.startReading()
        let isLast = opened.pool.map { !$0.isOfNode && !opened.isReused } ?? false
        handle(.upstreamOpened(confirmed: opened.isConfirmed, isLast: isLast))
    }

    func upstreamDidOpen(_ upstream: OpenedUpstream) {
        isSelecting = false
        adopt(upstream)
    }

    func upstreamDidFail(_ error: ProxyError) {
        isSelecting = false
        if let node = pool?.settings.node { triedNodes.append(node) }
        pool = nil
        handle(.dialFailed(error))
    }

    private func cancelSelection() {
        guard isSelecting else { return }
        isSelecting = false
        pool?.cancel(self)
        pool = nil
    }

    // MARK: The request

    private func sendRequest() {
        guard let upstream, let message else { return }
        let bytes = pool?.isOfNode == true ? forNode(message) : message.bytes
        upstream.write(bytes, more: exchange.isUploading)
        if message.companion != nil, upstream.queued > 0 { upstream.companion = message.companion }
        if !exchange.isUploading { return }
        uploadBytesSeen = upload?.bytes ?? bodyToCome
    }

    /// The message as another node gets it: its connection goes on unless it is a stream, and it is not to add anything for the client again.
    private func forNode(_ message: HeadWriter) -> UnsafeRawBufferPointer {
        let writer = proxy.writer
        writer.clear()
        writer.append(UnsafeRawBufferPointer(rebasing: message.bytes[..<hopPart.lowerBound]))
        writeTrail(to: writer)
        writeToken(to: writer)
        if traits.isUpgrade || upstreamIsShared {
            writer.append(UnsafeRawBufferPointer(rebasing: message.bytes[hopPart.lowerBound...]))
            return writer.bytes
        }
        if traits.acceptsTrailers { writer.append("Connection: TE\r\n") }
        writer.endLine()
        writer.append(UnsafeRawBufferPointer(rebasing: message.bytes[hopPart.upperBound...]))
        return writer.bytes
    }

    private func writeTrail(to writer: HeadWriter) {
        writer.append("x-piko-node: ")
        if !trail.isEmpty {
            trail.withUnsafeBytes { writer.append($0) }
            writer.append(", ")
        }
        writer.append(string: proxy.settings.nodeID)
        writer.endLine()
    }

    private func startUpload() {
        guard let upstream else { return }
        // What flows away cannot be sent again.
        giveMessageBack()
        uploadBytesSeen = 0
        let framing = FlowFraming(traits.framing)
        upload = Flow.start(from: downstream, to: upstream, framing: framing, tag: Self.uploadTag, handler: self)
        if upload == nil { handle(.uploadEnded(.sinkBroke)) }
    }

    private func stopUpload() {
        guard let flow = upload else { return }
        flow.stop()
        record.requestBytes += flow.bytes
        upload = nil
        downstream.startReading()
    }

    /// Nothing more is expected of the upstream but its end.
    private func startLinger() {
        upstream?.startReading()
        setClock(Self.lingerInterval)
    }

    // MARK: The response

    private func writeInterim() {
        let writer = proxy.writer
        writer.clear()
        proxy.responseHead.write(ResponseRewrite(), to: writer)
        downstream.write(writer.bytes)
    }

    private func writeResponse(closes: Bool) {
        giveMessageBack()
        settleUpstream()
        record.status = response.status
        let writer = proxy.writer
        writer.clear()
        var rewrite = ResponseRewrite()
        rewrite.connection = response.isUpgrade ? .implied : connectionOption(closes: closes)
        rewrite.removesChunks = removesChunks
        if tellsLoops { rewrite.loops = proxy.loops?(endpoint, endpointIsFromHost) ?? [] }
        proxy.responseHead.write(rewrite, to: writer)
        if let accessEntry { proxy.accessLog?.respond(accessEntry) { visit(proxy.responseHead.fields, $0) } }
        let length = inlineLength
        responseIsInline = length != nil
        if let length { writer.append(UnsafeRawBufferPointer(rebasing: responseRest[..<length])) }
        downstream.write(writer.bytes, more: length == nil && !response.isUpgrade)
    }

    /// A node of ours forwarded this over a connection of its own, and would rather know where the tunnels are.
    private var tellsLoops: Bool { isForwarded && traits.hasTrail && !isOfSession && tunnel != nil && !response.isUpgrade }

    private var removesChunks: Bool { traits.version == .http10 && response.framing == .chunked }

    private func connectionOption(closes: Bool) -> ConnectionOption {
        closes ? .close : (traits.version == .http10 ? .keepAlive : .implied)
    }

    /// The length of a body that is all there, small, and leaves with the head; nil: it needs a flow.
    private var inlineLength: Int? {
        switch response.framing {
        case .empty: return response.isUpgrade ? nil : 0
        case .length(let length):
            return length <= Self.inlineLimit && length <= UInt64(responseRest.count) ? Int(length) : nil
        case .chunked, .untilClose: return nil
        }
    }

    private func startDownload() {
        if responseIsInline, let length = inlineLength {
            responseTaken += length
            record.responseBytes += UInt64(length)
            upstreamIsDirty = responseRest.count > length
            return handle(.downloadEnded(.complete))
        }
        let framing = removesChunks ? FlowFraming.dechunked : FlowFraming(response.framing)
        guard let upstream,
            let flow = Flow.start(
                from: upstream, to: downstream, framing: framing, keepOpen: true, tag: Self.downloadTag, handler: self)
        else { return handle(.downloadEnded(.sourceBroke)) }
        download = flow
    }

    private func stopDownload() {
        guard let flow = download else { return }
        flow.stop()
        record.responseBytes += flow.bytes
        download = nil
    }

    private func startTunnel() {
        readDeadline = .max
        writeDeadline = .max
        watchDeadline = .max
        settleDeadline()
        guard let upstream,
            let up = Flow.start(from: downstream, to: upstream, framing: .untilEnd, tag: Self.uploadTag, handler: self)
        else { return handle(.uploadEnded(.sinkBroke)) }
        upload = up
        download = Flow.start(from: upstream, to: downstream, framing: .untilEnd, tag: Self.downloadTag, handler: self)
        if download == nil { handle(.downloadEnded(.sourceBroke)) }
    }

    func flowDidEnd(tag: Int, end: FlowEnd, bytes: UInt64) {
        if tag == Self.uploadTag {
            upload = nil
            record.requestBytes += bytes
            // Read on, to notice a client that leaves.
            if exchange.phase != .tunnel { downstream.startReading() }
            handle(.uploadEnded(BodyEnd(end)))
        } else {
            download = nil
            record.responseBytes += bytes
            handle(.downloadEnded(BodyEnd(end)))
        }
    }

    // MARK: Answers of our own

    private func respond(_ error: ProxyError, closes: Bool) {
        proxy.log.peer(error.source == .client ? .debug : .warn, "request failed") {
            if !endpoint.isEmpty { $0.add("endpoint_id", endpoint) }
            $0.add("error", String(describing: error.text))
        }
        answer(error.status, error.text, closes: closes, isRefusal: toldOfRefusals && error.reachedNoService)
    }

    /// The client is a node, which may send the request elsewhere.
    private var toldOfRefusals: Bool { isForwarded || proxy.settings.role == .agent }

    /// Writes a whole response.
    func answer(_ status: UInt16, _ text: StaticString, closes: Bool, isRefusal: Bool = false) {
        let writer = proxy.writer
        writer.clear()
        let option = connectionOption(closes: closes)
        let bodyCount = ErrorResponse.append(
            status: status, text: text, date: proxy.date.text(at: TimeOfDay.seconds), connection: option,
            omitsBody: traits.method == .head, isRefusal: isRefusal, loops: isRefusal ? loopsElsewhere : [], to: writer)
        record.status = status
        record.failure = text
        record.responseBytes = UInt64(bodyCount)
        downstream.write(writer.bytes)
    }
}

extension ProxyConnection {
    /// For a member that was wrong about the loop: where the tunnels are instead.
    private var loopsElsewhere: [Int] {
        guard isOfSession else { return [] }
        return proxy.loops?(endpoint, endpointIsFromHost).filter { $0 != proxy.index } ?? []
    }
}

extension FlowFraming {
    fileprivate init(_ framing: BodyFraming) {
        switch framing {
        case .empty: self = .none
        case .length(let length): self = .length(length)
        case .chunked: self = .chunked
        case .untilClose: self = .untilEnd
        }
    }
}

extension BodyEnd {
    fileprivate init(_ end: FlowEnd) {
        switch end {
        case .complete: self = .complete
        case .sourceBroke, .stalled: self = .sourceBroke
        case .sinkBroke: self = .sinkBroke
        case .badBody: self = .malformed
        }
    }
}
