// SPDX-License-Identifier: MIT
// One client's connection through the proxy, request after request, and the upstream of the request at hand. Loop-confined; it is the handler of
// both connections, which hold it. It turns what they, the flows and the clock say into events of an HTTPExchange and does what that says.

import PikoCore
import PikoEngine

/// A downstream connection: a client's on a server, a tunnel's stream on an agent.
///
/// Unchecked are properties that every request touches and nobody passes inout: the run-time exclusivity check would cost more than they do.
final class ProxyConnection: ConnectionHandler, FlowHandler, UpstreamReceiver, DeadlineHolder {
    enum State: UInt8 {
        /// Between requests, or before the end of a head.
        case idle
        /// A request is read and waits for the queue to leave, to move to another loop with the connection.
        case parked
        /// A request whose token is being verified; its head is unread.
        case held
        case exchange
        /// Ended, moved, or handed over: nothing of it is the proxy's any more.
        case over
    }

    let proxy: HTTPProxy
    /// nil only before the landing on another loop.
    var downstream: Connection!
    var state = State.idle
    /// Index among the proxy's connections.
    var place = 0

    // Deadlines, milliseconds of the loop's clock.
    var wheelPlace = WheelPlace()
    var deadline = UInt64.max
    /// That of the state at hand, and those of the request as a whole.
    private var clock = UInt64.max
    var readDeadline = UInt64.max
    var writeDeadline = UInt64.max
    /// The next look at a request's body that may stand still, and the bytes that both bodies had at the last.
    var watchDeadline = UInt64.max
    private var watchedBytes: UInt64 = 0

    // Heads.
    var scanner = HeadScanner()
    var emptyLines = 0
    var headBegan = false
    /// A long head so far.
    var gatheredHead: HeadWriter?
    /// The client half closed; what it sent before is still answered.
    var clientEnded = false
    /// Within the call that offers the client's bytes: what is left of them is not kept yet.
    var isReading = false
    /// Answers wait that the client does not read: its further requests wait too.
    @exclusivity(unchecked) var isBackedUp = false
    var requestsServed: UInt64 = 0
    var clientAddress: UnsafeMutableRawBufferPointer?
    var clientAddressCount = 0
    /// What the membership said of the client, and when that was.
    var isMember = false
    var memberVersion: UInt64 = 0
    /// SocketAddress.network of the client, once somebody wanted to know.
    var clientNetwork: UInt64?
    /// Another node's: it has forwarded a request on it.
    @exclusivity(unchecked) var isOfMember = false
    /// A stream of a member's session: it carries one request, and cannot move to another loop.
    @exclusivity(unchecked) var isOfSession = false
    /// Counted in the proxy's waitingMembers.
    @exclusivity(unchecked) var isWaitingMember = false

    // The request at hand.
    var exchange: HTTPExchange
    var traits = RequestTraits()
    var endpoint = ""
    var endpointIsFromHost = false
    var selected: TunnelID?
    var moves = 0
    @exclusivity(unchecked) var reach = RequestReach.everywhere
    /// By a member, so that nothing is added on the client's behalf again.
    @exclusivity(unchecked) var isForwarded = false
    /// The nodes it came by, as a stranger says.
    @exclusivity(unchecked) var trail: [UInt8] = []
    /// The token it was let in by, or one for another node; kept from request to request.
    @exclusivity(unchecked) var pass: TokenPass?
    /// On the token of a request that was held, until its head is read again.
    @exclusivity(unchecked) var verdict: TokenGate.Verdict?
    /// Of the verdict that is waited for.
    var ticket: UInt64 = 0
    var tried: [TunnelID] = []
    /// By id.
    @exclusivity(unchecked) var triedNodes: [String] = []
    /// The head as it goes on, and behind it what is held of the body. nil between requests and once it cannot be needed again.
    var message: HeadWriter?
    /// Of the message: its Connection line and the end of the head, which another node gets otherwise than a tunnel's stream.
    @exclusivity(unchecked) var hopPart = 0..<0
    /// Bytes of a held body that are still to come.
    var bodyToCome: UInt64 = 0
    /// What the call that reads the request has not taken, during that call.
    var unread = UnsafeRawBufferPointer(start: nil, count: 0)
    var record = ExchangeRecord()
    var accessEntry: AccessLogEntry?

    // Its upstream.
    var upstream: Connection?
    var tunnel: TunnelID?
    /// Where it is from, or while selecting, is to come from; nil: it is a tunnel's stream.
    @exclusivity(unchecked) var pool: ConnectionPool?
    @exclusivity(unchecked) var upstreamIsReused = false
    @exclusivity(unchecked) var upstreamMayRefuse = false
    /// A stream of a session beside the pool.
    @exclusivity(unchecked) var upstreamIsShared = false
    /// A session has had the request: next time it goes over a connection, which can reach all loops of a node.
    @exclusivity(unchecked) var hasTriedSession = false
    /// It had been dead since before it was chosen: the place behind it may be well.
    @exclusivity(unchecked) var upstreamIsStale = false
    var isSelecting = false
    var responseScanner = HeadScanner()
    /// A long response head so far.
    var gatheredResponse: HeadWriter?
    /// On long response heads that wait for the client.
    @exclusivity(unchecked) var waitingHeads: ByteBudget.Lease?
    var response = ResponseTraits()
    /// Behind the response head, during the call that reads it; and how much of it was passed on there.
    var responseRest = UnsafeRawBufferPointer(start: nil, count: 0)
    var responseTaken = 0
    var responseIsInline = false
    /// Of this response's interim heads.
    @exclusivity(unchecked) var interimBytes = 0
    /// The upstream sent what belongs to no response.
    var upstreamIsDirty = false
    var upload: Flow?
    var download: Flow?
    var uploadBytesSeen: UInt64 = 0

    init(_ downstream: Connection?, proxy: HTTPProxy) {
        self.downstream = downstream
        self.proxy = proxy
        exchange = HTTPExchange(RequestTraits(), body: .whole, mayKeepClient: false)
    }

    deinit { clientAddress?.deallocate() }

    /// Begins to read the first head.
    func start() {
        downstream.handler = self
        let isLate = proxy.isDraining && proxy.settings.role == .server
        setClock(isLate ? proxy.settings.drainIdleTimeout : proxy.settings.readHeaderTimeout)
        downstream.startReading()
    }

    // MARK: Deadlines

    /// Sets the deadline of the state at hand; 0: none.
    @inline(__always)
    func setClock(_ milliseconds: UInt64) {
        clock = milliseconds == 0 ? .max : proxy.loop.now &+ milliseconds
        settleDeadline()
    }

    func settleDeadline() {
        deadline = min(min(clock, watchDeadline), min(readDeadline, writeDeadline))
        proxy.wheel.schedule(self)
    }

    func deadlineDidPass() {
        let now = proxy.loop.now
        switch state {
        case .idle: return headIsLate()
        case .parked, .held: return cut()
        case .over: return endDidNotCome()
        case .exchange: break
        }
        guard state == .exchange else { return }
        settleUpstream()
        settleDownstream()
        if (readDeadline <= now && exchange.isUploading) || writeDeadline <= now { return handle(.overdue) }
        if readDeadline <= now { readDeadline = .max }
        if watchDeadline <= now { watchFired() }
        guard state == .exchange else { return }
        guard clock <= now else { return settleDeadline() }
        clock = .max
        settleDeadline()
        handle(exchange.phase == .finishing ? .lingerFired(moving: uploadMoved()) : .clockFired(stuck: uploadIsStuck()))
    }

    func watchUpload() {
        let limit = proxy.settings.idleTimeout
        guard limit > 0 else { return }
        watchedBytes = bodyBytes
        watchDeadline = proxy.loop.now &+ limit
        settleDeadline()
    }

    private func watchFired() {
        watchDeadline = .max
        // What waits for the upstream to read on is no fault of the client; the clock is for that.
        handle(.uploadWatched(moving: bodyBytes != watchedBytes || (upstream?.queued ?? 0) > 0))
    }

    /// Of both directions so far.
    private var bodyBytes: UInt64 {
        record.requestBytes &+ record.responseBytes &+ (upload?.bytes ?? 0) &+ (download?.bytes ?? 0)
    }

    private func uploadMoved() -> Bool {
        let bytes = upload?.bytes ?? bodyToCome
        defer { uploadBytesSeen = bytes }
        return bytes != uploadBytesSeen
    }

    /// The body waits for the upstream: to read on, or to say that it wants it at all.
    private func uploadIsStuck() -> Bool {
        let isAwaited = exchange.awaitsContinue && record.requestBytes + (upload?.bytes ?? 0) == 0
        return !uploadMoved() && (isAwaited || (upstream?.queued ?? 0) > 0)
    }

    // MARK: What connections say

    func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int {
        if connection === upstream { return readResponse(bytes) }
        guard connection === downstream else { return bytes.count }
        isReading = true
        let taken = readRequest(bytes)
        isReading = false
        // What is left of something is offered again; of an end there is no more to come.
        if clientEnded, state == .idle, !isBackedUp, taken == 0 || taken == bytes.count { close() }
        return taken
    }

    private func readRequest(_ bytes: UnsafeRawBufferPointer) -> Int {
        switch state {
        case .idle: backsUp() ? 0 : readHead(bytes)
        case .parked: 0
        case .held: readHeld(bytes)
        case .exchange: bodyToCome > 0 ? readHeldBody(bytes) : 0
        case .over: bytes.count
        }
    }

    func connectionDidOpen(_ connection: Connection) {
        if connection === upstream { handle(.upstreamConfirmed) }
    }

    func connectionDidEnd(_ connection: Connection) {
        if connection === upstream {
            suspectPool()
            return handle(.upstreamClosed)
        }
        guard connection === downstream else { return }
        switch state {
        case .idle:
            clientEnded = isBackedUp && downstream.keptCount > 0
            if !clientEnded { close() }
        case .parked, .held, .exchange:
            // Requests sent before the end are answered; a client that waits for one answer only has left.
            guard !clientEnded else { return }
            clientEnded = downstream.keptCount > 0
            if !clientEnded { cut() }
        case .over: break
        }
    }

    func connectionDidDrain(_ connection: Connection) {
        guard connection === downstream else { return }
        settleDownstream()
        if state == .parked, downstream.queued == 0 { return leaveForOtherLoop() }
        if isBackedUp, !backsUp(), state == .idle { awaitNext() }
    }

    func connectionDidClose(_ connection: Connection, error: EngineError?) {
        if connection === upstream {
            upstream = nil
            suspectPool()
            // A peer that wants another certificate than ours says so after the handshake (RFC 8446 4.4.2.4).
            if let error, error.isTLS { pool?.didFail(error) }
            // Only a refusal proves that the request was not taken: an acknowledgement may have been lost with the tunnel.
            if error != .refused { handle(.upstreamConfirmed) }
            return handle(.upstreamClosed)
        }
        guard connection === downstream else { return }
        if state == .exchange { handle(.clientGone) }
        if state == .parked { forgetParked() }
        if state == .held { forgetHeld() }
        giveBack(&gatheredHead)
        waitingHeads = nil
        let hasMoved = state == .over && downstreamIsGone
        state = .over
        deadline = .max
        proxy.remove(self)
        if !hasMoved { proxy.onConnectionEnd?() }
    }

    /// Moved to another loop, or handed over: its end is not the end of the client's connection.
    var downstreamIsGone = false

    // MARK: Ends

    /// Ends it between requests, or behind what was written.
    func close() {
        state = .over
        deadline = .max
        downstream.close()
        if proxy.isDraining { setClock(Self.farewell) }
    }

    /// Milliseconds that a client has, when the node leaves, to end its side of a connection that has ended.
    private static let farewell: UInt64 = 250

    private func endDidNotCome() {
        guard !downstreamIsGone else { return deadline = .max }
        if downstream.queued == 0 { downstream.letGo() } else { setClock(Self.farewell) }
    }

    /// Ends it now.
    func cut() {
        if state == .exchange { return handle(.clientGone) }
        if state == .parked { forgetParked() }
        if state == .held { forgetHeld() }
        let hasEnded = state == .over
        state = .over
        deadline = .max
        guard !downstreamIsGone else { return }
        // What a client reads slowly is with the system already, which goes on delivering.
        if hasEnded { downstream?.letGo() } else { downstream?.abort() }
    }

    var isUpgraded: Bool { state == .exchange && exchange.phase == .tunnel }
    var isAtRest: Bool { (state == .idle && !isWaitingMember) || state == .over }

    /// It ends with the request at hand, or soon if nothing is asked. A stream that a server has just opened has its request behind it.
    func drain() {
        switch state {
        case .idle: if !headBegan { drainIdle() }
        case .exchange, .parked: exchange.stopKeepingClient()
        case .held: break
        case .over: if !downstreamIsGone { setClock(Self.farewell) }
        }
    }

    private func drainIdle() {
        if isOfMember { return awaitMember() }
        let isFresh = requestsServed == 0 && proxy.settings.role == .agent
        if !isFresh { setClock(proxy.settings.drainIdleTimeout) }
    }

    /// A member may be sending a request just now that it could not send again elsewhere. It is answered, and told to close; the member
    /// ends the connection by itself when it hears that this node has left.
    func awaitMember() {
        guard !isWaitingMember else { return }
        isWaitingMember = true
        proxy.waitingMembers += 1
    }

    func stopAwaitingMember() {
        guard isWaitingMember else { return }
        isWaitingMember = false
        proxy.waitingMembers -= 1
    }
}
