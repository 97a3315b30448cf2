// SPDX-License-Identifier: MIT
// Reading responses: heads in place from the bytes that came, the rest left to flows.
// Loop-confined, inside the upstream's didRead.

import PikoCore
import PikoEngine

extension ProxyConnection {
    /// Bytes of the upstream that no flow reads. Returns how many were taken.
    func readResponse(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard exchange.phase == .waiting else {
            upstreamIsDirty = true
            return bytes.count
        }
        guard let gathered = gatheredResponse else { return scanResponse(bytes, isGathered: false) }
        // Its memory is read until the end of this call, whatever happens to the exchange meanwhile.
        gatheredResponse = nil
        guard proxy.makeRoom(for: bytes.count, in: gathered) else {
            proxy.giveBack(gathered)
            return refuseUnheldResponse(bytes)
        }
        if let taken = scan(gathered, with: bytes, by: scanResponse) { return taken }
        gatheredResponse = gathered
        return bytes.count
    }

    /// Bytes of a head, from its first one.
    private func scanResponse(_ bytes: UnsafeRawBufferPointer, isGathered: Bool) -> Int {
        switch responseScanner.next(bytes) {
        case .malformed(let error): return refuseResponse(error.description, bytes)
        case .head(let count): return beginResponse(bytes, count)
        case .needsMore: return waitForResponse(bytes, isGathered: isGathered)
        }
    }

    private func waitForResponse(_ bytes: UnsafeRawBufferPointer, isGathered: Bool) -> Int {
        switch wait(for: bytes, isGathered: isGathered, in: &gatheredResponse) {
        case .taken(let count): return count
        case .tooLarge: return refuseResponse("head too large", bytes)
        case .noRoom: return refuseUnheldResponse(bytes)
        }
    }

    /// There is no memory for so long a head.
    private func refuseUnheldResponse(_ bytes: UnsafeRawBufferPointer) -> Int {
        proxy.noteUnheld(.responseUnheld)
        handle(.badResponse)
        return bytes.count
    }

    private func refuseResponse(_ reason: String, _ bytes: UnsafeRawBufferPointer) -> Int {
        proxy.log.peer(.warn, "malformed response") {
            if !endpoint.isEmpty { $0.add("endpoint_id", endpoint) }
            $0.add("error", reason)
        }
        handle(.badResponse)
        return bytes.count
    }

    private func beginResponse(_ bytes: UnsafeRawBufferPointer, _ count: Int) -> Int {
        responseScanner.reset()
        let head = UnsafeRawBufferPointer(rebasing: bytes[..<count])
        if let fault = proxy.responseHead.parse(head, answering: traits) {
            return refuseResponse(String(describing: fault.text), bytes)
        }
        response = proxy.responseHead.traits
        if pool?.isOfNode == true { learnLoops() }
        if response.isRefused, let error = declining {
            takeRefusal(error, bytes.count - count)
            return bytes.count
        }
        // They wait for a client that does not read; together they may be as long as one head.
        if response.isInterim { interimBytes += count }
        if interimBytes > proxy.settings.headLimits.bytes { return refuseResponse("interim heads too large", bytes) }
        if count > HTTPProxy.freeHead, !chargeResponse(count) { return refuseUnheldResponse(bytes) }
        responseRest = UnsafeRawBufferPointer(rebasing: bytes[count...])
        responseTaken = count
        handle(.responseHead(response))
        responseRest = UnsafeRawBufferPointer(start: nil, count: 0)
        settleDownstream()
        return responseTaken
    }

    /// Where the node says that the endpoint's tunnels are. A refusal over a session that says so is a matter of this way to the node only.
    private func learnLoops() {
        guard let sessions = pool?.sessions else { return }
        let loops = proxy.responseHead.fields.value(of: .xPikoLoops).flatMap(LoopList.read)
        if let loops { sessions.learn(endpoint, loops: loops) }
        guard upstreamIsShared, response.isRefused else { return }
        if loops == nil { sessions.forget(endpoint) } else { upstreamIsStale = true }
    }

    /// What it means that the upstream refused; nil: it is a service, whose word that is not.
    private var declining: ProxyError? {
        if tunnel != nil { return upstreamMayRefuse ? .unreachable : nil }
        return pool?.isOfNode == true ? .declined : nil
    }

    /// A refusal that is there whole ends its exchange in good order: the connection may carry the next request.
    private func takeRefusal(_ error: ProxyError, _ bodyCount: Int) {
        if !exchange.isUploading, response.framing == .length(UInt64(bodyCount)) {
            noteTried()
            releaseUpstream(reusable: response.keepAlive)
        }
        handle(.upstreamDeclined(error))
    }

    /// Not again for this request.
    private func noteTried() {
        if let tunnel { tried.append(tunnel) }
        tunnel = nil
        if let node = pool?.settings.node, !upstreamIsStale { triedNodes.append(node) }
    }

    // MARK: Ends of the upstream

    func releaseUpstream(reusable: Bool) {
        guard let connection = upstream else { return }
        settleUpstream()
        upstream = nil
        connection.handler = nil
        guard let pool else { return connection.close() }
        self.pool = nil
        if upstreamIsShared { return connection.close() }
        pool.release(connection, reusable: reusable && !upstreamIsDirty && connection.companion == nil)
    }

    func abortUpstream() {
        giveBack(&gatheredResponse)
        noteTried()
        pool = nil
        guard let connection = upstream else { return }
        upstream = nil
        connection.handler = nil
        connection.abort()
    }

    /// A kept connection or a session that ends before it answers had most likely ended already, and so have those beside it.
    func suspectPool() {
        guard upstreamIsReused, exchange.phase == .waiting, let pool else { return }
        upstreamIsStale = true
        pool.closeIdle()
        if upstreamIsShared { pool.sessions?.forget(endpoint) }
    }

    /// What is behind the pool is gone: it will not answer any more. What was sent may have arrived for all that, or may still do so: a node that
    /// cannot be reached is not one that refused.
    func giveUp(on gone: ConnectionPool) {
        guard pool === gone, exchange.phase == .waiting else { return }
        handle(.upstreamConfirmed)
        handle(.upstreamClosed)
    }
}
