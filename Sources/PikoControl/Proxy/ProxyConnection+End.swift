// SPDX-License-Identifier: MIT
// The end of a request and what becomes of its connection: the next request, an end, or another loop.
// Loop-confined.

import PikoCore
import PikoEngine

extension ProxyConnection {
    func finish(_ outcome: ExchangeOutcome, _ fate: ClientFate) {
        endRecord(outcome)
        forgetRequest()
        requestsServed &+= 1
        switch fate {
        case .keep: awaitNext()
        case .close: close()
        case .abort: cut()
        }
    }

    /// Lets go of all that belongs to the request at hand.
    func forgetRequest() {
        stop(&upload)
        stop(&download)
        giveMessageBack()
        if upstream != nil { abortUpstream() }
        if !tried.isEmpty { tried.removeAll() }
        if !triedNodes.isEmpty { triedNodes.removeAll() }
        tunnel = nil
        pool = nil
        bodyToCome = 0
        hasTriedSession = false
        interimBytes = 0
        moves = 0
        selected = nil
        readDeadline = .max
        writeDeadline = .max
        watchDeadline = .max
        state = .idle
    }

    /// The client's connection ended under a request that waited to leave.
    func forgetParked() {
        endRecord(.clientGone)
        forgetRequest()
    }

    private func stop(_ flow: inout Flow?) {
        flow?.stop()
        flow = nil
    }

    func giveMessageBack() { giveBack(&message) }

    func giveBack(_ memory: inout HeadWriter?) {
        guard let given = memory else { return }
        memory = nil
        proxy.giveBack(given)
    }

    /// Bytes of answers that may wait for the client; one more answer may be behind them.
    private static let mostQueued = 64 * 1024

    /// Whether so much waits for the client that it is asked nothing more. Its clock goes on, so one that never reads is let go of.
    func backsUp() -> Bool {
        let isFull = downstream.queued >= Self.mostQueued
        if isFull, !isBackedUp { downstream.watchDrain() }
        isBackedUp = isFull
        return isFull
    }

    func awaitNext() {
        if proxy.isDraining, isOfMember { awaitMember() }
        setClock(idleTimeout)
        if waitingHeads != nil { downstream.watchDrain() }
        if isReading { return }
        if downstream.keptCount > 0 {
            downstream.resume()
        } else if clientEnded {
            close()
        }
    }

    /// Milliseconds without a request. It is for a member to end a connection between nodes, not for this node, which might cut into its next
    /// request.
    private var idleTimeout: UInt64 {
        let own = proxy.settings.idleTimeout
        if isOfMember { return own > 0 ? max(own, 2 * NodePool.idleTimeout) : 0 }
        guard proxy.isDraining else { return own }
        return own > 0 ? min(own, proxy.settings.drainIdleTimeout) : proxy.settings.drainIdleTimeout
    }

    // MARK: To another loop

    /// The selection lives on another loop: the connection goes there, at once or when its queue has left.
    func go(to tunnel: TunnelID) {
        guard moves < HTTPExchange.mostAttempts, proxy.moveAway != nil else {
            return handle(.upstreamRefused(.noUpstreams))
        }
        selected = tunnel
        guard downstream.queued == 0 else {
            state = .parked
            return downstream.watchDrain()
        }
        leaveForOtherLoop()
    }

    /// Moves with the request at hand.
    func leaveForOtherLoop() {
        guard let tunnel = selected, let message else { return cut() }
        state = .exchange
        let arrival = ProxyArrival(
            selected: tunnel, moves: moves + 1, requestsServed: requestsServed, clientEnded: clientEnded,
            request: carried(message))
        guard move(with: unread, arrival, to: tunnel.loop) else {
            selected = nil
            return handle(.upstreamRefused(.overloaded))
        }
    }

    /// The request at hand as it travels.
    func carried(_ message: HeadWriter) -> CarriedRequest {
        CarriedRequest(
            exchange: exchange, traits: traits, endpoint: endpoint, endpointIsFromHost: endpointIsFromHost, reach: reach,
            isForwarded: isForwarded, trail: trail, pass: pass, message: Array(message.bytes), companion: message.companion,
            hopPart: hopPart, bodyToCome: bodyToCome, tried: tried, triedNodes: triedNodes,
            readDeadline: readDeadline, writeDeadline: writeDeadline, record: record, accessEntry: accessEntry)
    }

    /// `unread`: bytes of the call at hand, to be read there. False: it stays as it was.
    func move(with unread: UnsafeRawBufferPointer, _ arrival: ProxyArrival, to loop: Int) -> Bool {
        guard let moveAway = proxy.moveAway, let moving = try? downstream.detach(extra: unread) else { return false }
        forgetRequest()
        accessEntry = nil
        state = .over
        downstreamIsGone = true
        deadline = .max
        if !moveAway(moving, arrival, loop) { proxy.onConnectionEnd?() }
        return true
    }

    /// Arrived from another loop.
    func land(_ connection: Connection, _ arrival: ProxyArrival) {
        downstream = connection
        moves = arrival.moves
        requestsServed = arrival.requestsServed
        clientEnded = arrival.clientEnded
        selected = arrival.selected
        setClock(proxy.settings.readHeaderTimeout)
        guard let request = arrival.request else { return connection.startReading() }
        state = .exchange
        exchange = request.exchange
        traits = request.traits
        endpoint = request.endpoint
        endpointIsFromHost = request.endpointIsFromHost
        reach = request.reach
        isForwarded = request.isForwarded
        isOfMember = isForwarded
        trail = request.trail
        pass = request.pass
        hopPart = request.hopPart
        tried = request.tried
        triedNodes = request.triedNodes
        record = request.record
        accessEntry = request.accessEntry
        bodyToCome = request.bodyToCome
        readDeadline = request.readDeadline
        writeDeadline = request.writeDeadline
        let message = proxy.takeMessage()
        message.reserve(request.message.count + Int(request.bodyToCome))
        request.message.withUnsafeBytes { message.append($0) }
        message.companion = request.companion
        self.message = message
        connection.startReading()
        perform(exchange.begin())
    }

    // MARK: Log and counters

    func beginRecord(_ head: RequestHead) {
        guard startRecord(), let log = proxy.accessLog else { return }
        let request = AccessRequest(
            method: head.method, target: head.targetAsSent, host: head.host ?? Self.nothing, endpoint: head.endpoint ?? Self.nothing,
            minorVersion: head.traits.version == .http11 ? 1 : 0)
        accessEntry = log.begin(request) { visit(head.fields, $0) }
    }

    /// Of a head that is refused: of what came, only a well-formed first line is shown.
    func beginRecord(refused bytes: UnsafeRawBufferPointer) {
        let line = RequestLine(bytes)
        traits = RequestTraits()
        traits.method = line?.known ?? .other
        record = ExchangeRecord()
        record.requestHeadBytes = UInt64(bytes.count)
        guard startRecord(), let log = proxy.accessLog else { return }
        let request = AccessRequest(
            method: line?.method ?? Self.nothing, target: line?.target ?? Self.nothing, host: Self.nothing, endpoint: Self.nothing,
            minorVersion: line?.version == .http10 ? 0 : 1)
        accessEntry = log.begin(request) { _ in }
    }

    private static var nothing: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

    /// False: nobody wants to know.
    private func startRecord() -> Bool {
        guard proxy.metrics != nil || proxy.accessLog != nil else { return false }
        record.started = EventLoop.nanoseconds
        proxy.metrics?.began()
        return true
    }

    func visit(_ fields: HeadFields, _ visitor: AccessLog.Visit) {
        for index in 0..<fields.count {
            let field = fields[index]
            visitor(field.name, field.value)
        }
    }

    func endRecord(_ outcome: ExchangeOutcome) {
        guard record.started > 0 else { return }
        let nanoseconds = EventLoop.nanoseconds &- record.started
        proxy.metrics?.ended(
            status: Int(record.status), method: traits.method, nanoseconds: nanoseconds,
            requestBytes: record.requestHeadBytes + record.requestBytes, responseBytes: record.responseBytes)
        if let fault = outcome.fault { proxy.metrics?.count(fault) }
        record.started = 0
        guard let entry = accessEntry else { return }
        accessEntry = nil
        proxy.accessLog?.end(
            entry,
            AccessOutcome(
                status: Int(record.status), nanoseconds: nanoseconds, requestBytes: record.requestBytes,
                responseBytes: record.responseBytes, node: record.node, error: record.failure ?? outcome.text))
    }
}

extension ExchangeOutcome {
    /// For the log; nil: it ended as it should.
    fileprivate var text: StaticString? {
        switch self {
        case .complete, .failed: nil
        case .clientGone, .cutShort: "client closed"
        case .badBody: "malformed request body"
        case .upstreamGone, .truncated: "upstream closed early"
        case .badResponseBody: "malformed response body"
        case .overdue: "time limit passed"
        }
    }

    /// Whose fault it was; nil: nobody's, or the answer's status says it.
    fileprivate var fault: ProxyFault? {
        switch self {
        case .complete, .failed, .clientGone, .upstreamGone: nil
        case .cutShort: .requestTruncated
        case .badBody: .requestMalformed
        case .truncated: .responseTruncated
        case .badResponseBody: .responseMalformed
        case .overdue: .overdue
        }
    }
}
