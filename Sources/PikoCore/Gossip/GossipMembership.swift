// SPDX-License-Identifier: MIT
// Who is a member of the cluster: nodes are met, added, back, begin anew, change their status.
// Part of Gossip: pure, confined to the control loop. Silence is judged in GossipRounds.

extension Gossip {
    /// A node speaks itself: the one proof that it is there. False when it cannot be taken in.
    /// - Parameters:
    ///   - claims: what it says its own version is.
    ///   - isCertain: it says so now, on a connection; a packet may be old.
    mutating func meet(_ peer: GossipPeer, claims: UInt64?, isCertain: Bool) -> Bool {
        guard members[peer.id] != nil else {
            tombstones[peer.id] = nil
            return add(peer)
        }
        adoptAddress(peer, claims: claims)
        if let claims { weigh(claims, of: peer, isCertain: isCertain) }
        return true
    }

    /// A node's newer life may be elsewhere; an old packet of an earlier one must not move it back.
    mutating func adoptAddress(_ peer: GossipPeer, claims: UInt64?) {
        guard let member = members[peer.id], member.peer.address != peer.address else { return }
        guard member.status == .unreachable || claims.map({ $0 >= member.version }) ?? false else { return }
        members[peer.id]?.peer.address = peer.address
    }

    /// A node that knows less of itself than others do has begun anew, unless what it said was long under way.
    private mutating func weigh(_ claims: UInt64, of peer: GossipPeer, isCertain: Bool) {
        guard let member = members[peer.id] else { return }
        guard claims < member.version else {
            if member.lowSince != nil { members[peer.id]?.lowSince = nil }
            return
        }
        guard isCertain || member.lowSince.map({ now - $0 >= Limit.lowClaims }) ?? false else {
            if member.lowSince == nil { members[peer.id]?.lowSince = now }
            return
        }
        var changes: [ClusterChange] = []
        members[peer.id]?.beginAnew(&changes)
        members[peer.id]?.speaksForItselfUntil = now + Limit.earlierLife
        members[peer.id]?.peer.address = peer.address
        out += changes.map { .change($0) }
        if member.status == .left { setStatus(peer.id, .active) }
    }

    /// Takes in a node of which nothing is known but its name. False at the bound.
    @discardableResult
    mutating func add(_ peer: GossipPeer) -> Bool {
        guard hasName(peer, "") else { return false }
        guard members.count < Limit.nodes else {
            meetBound(.tooManyNodes)
            return false
        }
        members[peer.id] = Member(peer: peer, interval: settings.interval, now: now)
        order.append(peer.id)
        activeCount += 1
        out += [.change(.added(id: peer.id)), .log(.nodeFound(peer))]
        return true
    }

    /// A bound was met: it is counted, and said now and then.
    mutating func meetBound(_ fact: GossipFact) {
        counters.rejected[.bound, default: 0] += 1
        guard now >= nextBoundLine else { return }
        nextBoundLine = now + 10_000
        out.append(.log(fact))
    }

    /// A delta of the node itself has come.
    mutating func heartbeat(_ id: String) {
        guard let status = members[id]?.status else { return }
        if status == .unreachable { setStatus(id, .active) } else { members[id]?.arrivals.heard(now) }
    }

    mutating func setStatus(_ id: String, _ status: NodeStatus) {
        guard let member = members[id] else { return }
        members[id]?.status = status
        members[id]?.expiry = status == .active ? nil : now + Limit.expiry
        if status == .active { members[id]?.arrivals = ArrivalWindow(first: settings.interval, now: now) }
        out.append(.change(.status(id: id, status)))
        switch status {
        case .active: out.append(.log(.nodeBack(member.peer)))
        case .unreachable: out.append(.log(.nodeUnreachable(member.peer)))
        case .left: out.append(.log(.nodeLeft(member.peer)))
        }
    }
}
