// SPDX-License-Identifier: MIT
// What long heads take of a process's memory: gathered before their end, held until the answer begins, or waiting in a stream that is not read. All proxies
// of a process share one budget; a head of ordinary size is on nobody's account. Loop-confined, but for the budget itself. It answers nobody.

import PikoCore
import PikoEngine

extension HTTPProxy {
    /// Bytes. A head up to here costs each connection what it may have anyway, beside what is held of its body.
    static let freeHead = 32 * 1024
    /// Bytes that longer heads of a process may take together.
    static let mostHeads = 256 << 20
    /// Milliseconds between two log lines.
    private static let complaintInterval: UInt64 = 1000

    /// Room for more of a long head that is being gathered. False: there is none, and the head is as it was.
    func makeRoom(for more: Int, in head: HeadWriter) -> Bool { charge(head.capacity(for: more), to: head) }

    /// Accounts for a long head that is held until it is answered, what is still to come of its body, and a copy of both that waits for its upstream.
    /// False: there is no room.
    func hold(_ head: HeadWriter, bodyToCome: UInt64) -> Bool {
        let body = Int(bodyToCome)
        return charge(head.capacity(for: body) + head.count + body, to: head)
    }

    /// What was taken is given back with the memory.
    private func charge(_ bytes: Int, to head: HeadWriter) -> Bool {
        if let lease = head.companion as? ByteBudget.Lease { return lease.count >= bytes || lease.take(bytes - lease.count) }
        head.companion = heads.lease(bytes)
        return head.companion != nil
    }

    /// There was no room for a head. Counted, and from time to time logged.
    func noteUnheld(_ fault: ProxyFault) {
        metrics?.count(fault)
        guard loop.now &- lastComplaint >= Self.complaintInterval else { return }
        lastComplaint = loop.now
        log.warn("no memory left for long heads") { $0.add("bytes", Self.mostHeads) }
    }
}

extension ProxyConnection {
    /// A long response head is about to be written: it may have to wait for a client that does not read. False: there is no room for it.
    func chargeResponse(_ bytes: Int) -> Bool {
        if let lease = waitingHeads { return lease.take(bytes) }
        waitingHeads = proxy.heads.lease(bytes)
        return waitingHeads != nil
    }

    /// Nothing that was written waits any more.
    func settleDownstream() {
        if waitingHeads != nil, downstream.queued == 0 { waitingHeads = nil }
    }

    /// The same of a request's head; until then it is on the account together with what is held of it.
    func settleUpstream() {
        if let upstream, upstream.companion != nil, upstream.queued == 0 { upstream.companion = nil }
    }
}
