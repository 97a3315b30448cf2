// SPDX-License-Identifier: MIT
// Reading requests: heads in place from the bytes that came, where they are to go, and small bodies, which are held so that a
// request can be sent again. Loop-confined, inside the connection's didRead.

import PikoCore
import PikoEngine

extension ProxyConnection {
    /// A body announced to be at most so long is held while it is passed on.
    static let heldBodyLimit: UInt64 = 64 * 1024
    private static let mostEmptyLines = 4
    /// Bytes by which a head mostly grows at most on its way.
    private static let usualAddition = 1024

    // MARK: Heads

    /// Bytes of a head. Returns how many were taken.
    func readHead(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let gathered = gatheredHead else { return scanHead(bytes, isGathered: false) }
        gatheredHead = nil
        guard proxy.makeRoom(for: bytes.count, in: gathered) else {
            refuseUnheld(gathered.bytes)
            proxy.giveBack(gathered)
            return bytes.count
        }
        if let taken = scan(gathered, with: bytes, by: scanHead) { return taken }
        gatheredHead = gathered
        return bytes.count
    }

    /// Bytes of a head, from its first one.
    private func scanHead(_ bytes: UnsafeRawBufferPointer, isGathered: Bool) -> Int {
        if !headBegan { headDidBegin() }
        switch scanner.next(bytes) {
        case .needsMore: return waitForHead(bytes, isGathered: isGathered)
        case .malformed: return refuse(proxy.requestHead.parse(bytes) ?? .badLineEnd, bytes)
        case .head(2) where emptyLines < Self.mostEmptyLines:
            // Empty lines in front of a request are forgiven (RFC 9112 2.2), within reason.
            emptyLines += 1
            scanner.reset()
            return 2
        case .head(let count):
            return beginRequest(bytes, count, isGathered: isGathered)
        }
    }

    private func waitForHead(_ bytes: UnsafeRawBufferPointer, isGathered: Bool) -> Int {
        switch wait(for: bytes, isGathered: isGathered, in: &gatheredHead) {
        case .taken(let count): return count
        case .tooLarge: return refuse(.headTooLarge, bytes)
        case .noRoom:
            refuseUnheld(bytes)
            return bytes.count
        }
    }

    private func headDidBegin() {
        headBegan = true
        // A new connection's clock runs since its opening.
        if requestsServed > 0 || proxy.isDraining { setClock(proxy.settings.readHeaderTimeout) }
    }

    private func headDidEnd() {
        scanner.reset()
        emptyLines = 0
        headBegan = false
    }

    /// Answers a head that is refused, and ends the connection: what follows on it cannot be trusted.
    private func refuse(_ fault: HeadFault, _ bytes: UnsafeRawBufferPointer) -> Int {
        // A head cut short by a fault of its lines has no other name than that.
        let fault = fault == .incomplete ? .badLineEnd : fault
        end(bytes, with: fault.status, fault.text)
        return bytes.count
    }

    /// There is no memory for so long a head. A node, which speaks for somebody else, may ask another.
    private func refuseUnheld(_ bytes: UnsafeRawBufferPointer) {
        proxy.noteUnheld(.requestUnheld)
        let isOfNode = proxy.settings.role == .agent || isOfSession || isAtMember()
        end(bytes, with: ProxyError.overloaded.status, ProxyError.overloaded.text, isRefusal: isOfNode)
    }

    /// The deadline passed between requests or within a head.
    func headIsLate() {
        guard headBegan else {
            countSilence()
            return close()
        }
        end(UnsafeRawBufferPointer(start: nil, count: 0), with: ProxyError.clientTimeout.status, ProxyError.clientTimeout.text)
    }

    /// Of a client that was let go of without ever having asked anything. A handshake that did not end is counted as that.
    private func countSilence() {
        guard requestsServed == 0, !proxy.isDraining, downstream.onHandshakeFailure == nil else { return }
        proxy.metrics?.count(.silent)
    }

    /// Instead of a request: an answer, its line in the log, and the end.
    private func end(_ bytes: UnsafeRawBufferPointer, with status: UInt16, _ text: StaticString, isRefusal: Bool = false) {
        proxy.log.peer(.debug, "request refused") { $0.add("error", String(describing: text)) }
        beginRecord(refused: bytes)
        answer(status, text, closes: true, isRefusal: isRefusal)
        endRecord(.failed)
        close()
    }

    // MARK: Requests

    private func beginRequest(_ bytes: UnsafeRawBufferPointer, _ count: Int, isGathered: Bool) -> Int {
        let head = proxy.requestHead
        if let fault = head.parse(UnsafeRawBufferPointer(rebasing: bytes[..<count])) { return refuse(fault, bytes) }
        // Before the token, whose verification is the dearest thing that a stranger can ask for.
        let isLimited = isBeyondRate()
        let entry = isLimited ? .admitted : enter(head, canWait: !isGathered)
        if case .held = entry {
            scanner.reset()
            return 0
        }
        headDidEnd()
        traits = head.traits
        settleReach(head)
        if requestsServed == 0, !isForwarded { proxy.arrivals &+= 1 }
        let inHand = beginExchange(headCount: count, behind: bytes.count - count)
        if isLimited {
            beginRecord(head)
            handle(.upstreamRefused(.tooManyRequests))
            return count + inHand
        }
        if case .refused(let fault) = entry {
            beginRecord(head)
            handle(.upstreamRefused(ProxyError(fault)))
            return count + inHand
        }
        if proxy.settings.role == .server, ReservedPath.contains(head.pathAndQuery) {
            return serveReserved(head, bytes, count) ?? count + inHand
        }
        beginRecord(head)
        if let error = refusal(head) {
            handle(.upstreamRefused(error))
        } else {
            select(from: bytes, taking: count, inHand)
        }
        return downstreamIsGone ? bytes.count : count + inHand
    }

    /// How far the request may go from here.
    private func settleReach(_ head: RequestHead) {
        isForwarded = traits.claimsForward && isFromMember()
        reach = isForwarded ? .here : .everywhere
        if !trail.isEmpty { trail = [] }
        guard traits.hasTrail, !isForwarded, let list = head.fields.value(of: .xPikoNode) else { return }
        if NodeTrail.ends(list, at: proxy.settings.nodeID) { reach = .here } else { trail = Array(list) }
    }

    /// Returns how many bytes of the body are at hand and will be held.
    private func beginExchange(headCount: Int, behind: Int) -> Int {
        state = .exchange
        if isWaitingMember { stopAwaitingMember() }
        var body = RequestBody.whole
        var inHand = 0
        bodyToCome = 0
        if case .length(let length) = traits.framing, length <= Self.heldBodyLimit {
            inHand = min(Int(length), behind)
            bodyToCome = length - UInt64(inHand)
            body = bodyToCome == 0 ? .whole : .held
        } else if traits.framing != .empty {
            body = .streamed
        }
        exchange = HTTPExchange(traits, body: body, mayKeepClient: !proxy.isDraining, clientKnowsEnd: clientKnowsEnd)
        record = ExchangeRecord()
        record.requestHeadBytes = UInt64(headCount)
        record.requestBytes = UInt64(inHand)
        beginLimits()
        return inHand
    }

    private func beginLimits() {
        let settings = proxy.settings
        if settings.readTimeout > 0 && exchange.isUploading { readDeadline = proxy.loop.now &+ settings.readTimeout }
        if settings.writeTimeout > 0 { writeDeadline = proxy.loop.now &+ settings.writeTimeout }
    }

    /// The first selection of a request: its connection may move to another loop with it.
    private func select(from bytes: UnsafeRawBufferPointer, taking count: Int, _ inHand: Int) {
        let message = proxy.takeMessage()
        let isLong = count > HTTPProxy.freeHead
        if isLong { message.reserve(count + inHand + Int(bodyToCome) + Self.usualAddition) }
        let common = proxy.requestHead.write(rewrite(), to: message)
        hopPart = common..<message.count
        if inHand > 0 { message.append(UnsafeRawBufferPointer(rebasing: bytes[count..<(count + inHand)])) }
        self.message = message
        if isLong, !proxy.hold(message, bodyToCome: bodyToCome) {
            proxy.noteUnheld(.requestUnheld)
            return handle(.upstreamRefused(.overloaded))
        }
        unread = UnsafeRawBufferPointer(rebasing: bytes[(count + inHand)...])
        perform(exchange.begin())
        unread = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// A node that said that its stream ends with this request need not hear it again.
    private var clientKnowsEnd: Bool {
        (isOfSession || proxy.settings.role == .agent) && traits.version == .http11 && !traits.keepAlive
    }

    private func rewrite() -> RequestRewrite {
        var rewrite = RequestRewrite()
        switch proxy.settings.role {
        case .server:
            // The node that forwards has said for whom.
            if !isForwarded {
                rewrite.clientAddress = addressText()
                rewrite.proto = downstream.isSecure ? .https : .http
                rewrite.addsForwardedHost = true
            }
            rewrite.marksForward = true
            rewrite.removesAuthorization = consumedAuthorization
            // A stream of a tunnel carries one request; told so, the agent ends it together with the response.
            if !traits.isUpgrade { rewrite.connection = .close }
        case .agent:
            rewrite.marksForward = traits.claimsForward
            rewrite.pathPrefix = proxy.pathPrefix
        }
        return rewrite
    }

    private func addressText() -> UnsafeRawBufferPointer {
        if clientAddress == nil {
            let text = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 1)
            clientAddressCount = downstream.peerAddress?.writeHost(into: text) ?? 0
            clientAddress = text
        }
        return UnsafeRawBufferPointer(start: clientAddress!.baseAddress, count: clientAddressCount)
    }

    /// Whether the client, which speaks for itself, sends more requests than it may. A request that comes again counts once: from another loop, or
    /// with the verdict on its token.
    private func isBeyondRate() -> Bool {
        guard let rates = proxy.rates, rates.isOn, moves == 0, verdict == nil, !isOfSession, !isAtMember() else { return false }
        let client = clientNetwork ?? downstream.peerAddress?.network
        clientNetwork = client
        return client.map { !rates.admits($0) } ?? false
    }

    /// Whether the client is another node of the cluster, which speaks for somebody else.
    func isFromMember() -> Bool {
        if isOfSession { return true }  // asked when the stream was accepted
        let isMember = isAtMember()
        if isMember { isOfMember = true }
        return isMember
    }

    /// Whether the client is where another node is: asked of the membership once, and again when that has changed.
    private func isAtMember() -> Bool {
        guard let membership = proxy.membership else { return false }
        let version = membership.version()
        if version != memberVersion {
            memberVersion = version
            isMember = downstream.peerAddress.map { membership.contains($0) } ?? false
        }
        return isMember
    }

    // MARK: Held bodies

    /// More of a held body. Returns how many bytes were taken.
    func readHeldBody(_ bytes: UnsafeRawBufferPointer) -> Int {
        let count = Int(min(UInt64(bytes.count), bodyToCome))
        let part = UnsafeRawBufferPointer(rebasing: bytes[..<count])
        bodyToCome -= UInt64(count)
        record.requestBytes += UInt64(count)
        message?.append(part)
        if let upstream, exchange.phase != .selecting { upstream.write(part) }
        if bodyToCome == 0 { handle(.uploadEnded(.complete)) }
        return count
    }
}

// MARK: Where a request goes

extension ProxyConnection {
    /// Bytes of a name; no agent may register a longer one, and none is remembered.
    private static let longestEndpoint = 256

    /// Why a request goes nowhere; nil: it has a destination.
    private func refusal(_ head: RequestHead) -> ProxyError? {
        if traits.method == .connect { return .unsupportedMethod }
        guard proxy.settings.role == .server else { return nil }
        guard let name = head.endpoint else { return .missingEndpoint }
        guard name.count <= Self.longestEndpoint else {
            endpoint = ""
            return .noUpstreams
        }
        nameEndpoint(name, isFromHost: head.endpointIsFromHost)
        return mayReach(endpoint, isHostName: endpointIsFromHost) ? nil : ProxyError(.notPermitted)
    }

    /// Keeps the name of the request before where it is the same, so that no text is made.
    private func nameEndpoint(_ name: UnsafeRawBufferPointer, isFromHost: Bool) {
        endpointIsFromHost = isFromHost
        if endpoint.utf8.count == name.count, endpoint.utf8.elementsEqual(name) { return }
        endpoint = String(decoding: name, as: UTF8.self)
        if isFromHost { endpoint = endpoint.lowercased() }
    }

    /// A path that the node answers by itself. Returns how many bytes were taken; nil: of the body what is held, as usual.
    private func serveReserved(_ head: RequestHead, _ bytes: UnsafeRawBufferPointer, _ count: Int) -> Int? {
        var refusal = ProxyError.notFound
        if let name = ReservedPath.tcpEndpoint(head.pathAndQuery), let tunnels = proxy.tcpTunnels {
            switch takeOver(head, name, tunnels) {
            case .taken:
                handOver(head)
                return count
            case .otherNode:
                forwardTunnel(head, name, bytes, count)
                return nil
            case .elsewhere(let tunnel):
                if moves < HTTPExchange.mostAttempts, moveUnread(bytes, to: tunnel.loop, tunnel) { return bytes.count }
                refusal = .noUpstreams
            case .none(let error): refusal = error
            }
        } else if ReservedPath.isNodeSession(head.pathAndQuery), let sessions = proxy.memberSessions, isFromMember() {
            switch sessions.takeOver(downstream, head) {
            case .taken:
                leaveProxy()
                return count
            case .elsewhere(let loop):
                if moves < HTTPExchange.mostAttempts, moveUnread(bytes, to: loop, nil) { return bytes.count }
                refusal = .overloaded
            case .none(let error): refusal = error
            }
        }
        beginRecord(head)
        handle(.upstreamRefused(refusal))
        return nil
    }

    private func takeOver(_ head: RequestHead, _ name: String, _ tunnels: any TCPTunnelHook) -> TCPTunnelAnswer {
        guard mayReach(name, isHostName: false) else { return .none(ProxyError(.notPermitted)) }
        guard WebSocketUpgrade.isRequested(by: head) else { return .none(.upgradeRequired) }
        var request = TCPTunnelRequest(endpoint: name, head: head, localOnly: reach == .here, selected: selected)
        if reach != .here {
            guard let fallback = fallback(head, name) else { return .none(.overloaded) }
            request.fallback = fallback
        }
        selected = nil
        return tunnels.takeOver(downstream, request)
    }

    /// The upgrade as it goes to another node, should it come to that. nil: there is no room for so long a head.
    private func fallback(_ head: RequestHead, _ name: String) -> CarriedRequest? {
        let message = proxy.takeMessage()
        defer { proxy.giveBack(message) }
        let common = head.write(rewrite(), to: message)
        if head.byteCount > HTTPProxy.freeHead, !proxy.hold(message, bodyToCome: 0) {
            proxy.noteUnheld(.requestUnheld)
            return nil
        }
        var request = carried(message)
        request.endpoint = name
        request.endpointIsFromHost = false
        request.reach = .otherNodes
        request.hopPart = common..<message.count
        return request
    }

    /// A TCP client of another node's endpoint.
    private func forwardTunnel(_ head: RequestHead, _ name: String, _ bytes: UnsafeRawBufferPointer, _ count: Int) {
        endpoint = name
        endpointIsFromHost = false
        reach = .otherNodes
        beginRecord(head)
        select(from: bytes, taking: count, 0)
    }

    /// The connection is another's from now on.
    private func handOver(_ head: RequestHead) {
        beginRecord(head)
        record.status = 101
        endRecord(.complete)
        leaveProxy()
    }

    private func leaveProxy() {
        state = .over
        deadline = .max
        proxy.remove(self)
    }

    /// Moves with the whole request unread: it is read again there.
    private func moveUnread(_ bytes: UnsafeRawBufferPointer, to loop: Int, _ selected: TunnelID?) -> Bool {
        let arrival = ProxyArrival(selected: selected, moves: moves + 1, requestsServed: requestsServed, clientEnded: clientEnded, request: nil)
        return downstream.queued == 0 && move(with: bytes, arrival, to: loop)
    }
}

/// Paths that a node answers by itself (protocol.md, "Ports of a server node").
enum ReservedPath {
    private static let prefix: StaticString = "/_piko"
    private static let tcp = "/_piko/v1/tcp/"

    /// `/_piko` and every path below it.
    @inline(__always)
    static func contains(_ target: UnsafeRawBufferPointer) -> Bool {
        guard target.count >= 6, target[1] == UInt8(ascii: "_"), begins(target, with: prefix) else { return false }
        return target.count == 6 || target[6] == UInt8(ascii: "/") || target[6] == UInt8(ascii: "?")
    }

    /// `/_piko/v1/node`: where a member opens a session.
    static let nodeSession = "/_piko/v1/node"

    static func isNodeSession(_ target: UnsafeRawBufferPointer) -> Bool { target.elementsEqual(nodeSession.utf8) }

    /// The endpoint of `/_piko/v1/tcp/{endpoint}`. nil for any other path.
    static func tcpEndpoint(_ target: UnsafeRawBufferPointer) -> String? {
        let path = target.prefix { $0 != UInt8(ascii: "?") }
        guard path.starts(with: tcp.utf8) else { return nil }
        let segment = path.dropFirst(tcp.utf8.count)
        guard !segment.isEmpty, !segment.contains(UInt8(ascii: "/")) else { return nil }
        guard let name = PercentEncoding.decode(segment), name.count <= 256 else { return nil }
        return String(validating: name, as: UTF8.self)
    }

    private static func begins(_ target: UnsafeRawBufferPointer, with text: StaticString) -> Bool {
        for index in 0..<text.utf8CodeUnitCount where target[index] != text.utf8Start[index] { return false }
        return true
    }
}
