// SPDX-License-Identifier: MIT
// What gossip does of its own accord: whom it asks in a tick, whose silence is too long, how seeds and forgotten nodes are asked again.
// Part of Gossip: pure, confined to the control loop. What is heard is GossipHearing's.

extension Gossip {
    mutating func tick() {
        forgivePause()
        judge()
        own.compact(20)
        askNodes()
        askUnreachable()
        askForgotten()
        checkSeeds()
        ticks &+= 1
        nextTick = now + settings.interval + UInt64.random(in: 0...settings.interval / 10, using: &random)
    }

    /// A process that stood still must not blame the others for its own silence.
    private mutating func forgivePause() {
        defer { lastTick = now }
        guard let lastTick, now - lastTick > 10 * settings.interval else { return }
        let pause = now - lastTick - settings.interval
        for id in order { members[id]?.arrivals.forgive(pause) }
        out.append(.log(.paused(milliseconds: pause)))
    }

    // MARK: Silence

    /// The least that counts as the mean of a node's intervals: what it is when all goes well.
    private var leastMean: Double {
        Double(settings.interval) * max(1, Double(min(activeCount, Limit.rotation)) / 2)
    }

    private mutating func judge() {
        let active = activeIDs
        activeCount = active.count
        weight = order.reduce(0) { $0 + (members[$1]?.entries.weight ?? 0) }
        let least = leastMean
        for id in active {
            guard let member = members[id], member.arrivals.suspicion(now, least: least) > ArrivalWindow.threshold else { continue }
            setStatus(id, .unreachable)
        }
        guard active.count < order.count else { return }
        for id in order {
            guard let member = members[id], let expiry = member.expiry, expiry <= now else { continue }
            forget(member)
        }
    }

    private mutating func forget(_ member: Member) {
        let id = member.peer.id
        members[id] = nil
        order.removeAll { $0 == id }
        tombstones[id] = Tombstone(
            peer: member.peer, hasLeft: member.status == .left, expiry: now + Limit.remembered, nextProbe: now + Limit.probe)
        if tombstones.count > Limit.tombstones,
            let oldest = tombstones.values.min(by: { ($0.expiry, $0.peer.id) < ($1.expiry, $1.peer.id) })
        {
            tombstones[oldest.peer.id] = nil
        }
        out += [.change(.removed(id: id)), .log(.nodeForgotten(member.peer))]
    }

    // MARK: Asking

    /// One node is asked for all, and as many more as it takes to ask every node within ten intervals are asked for their own news.
    private mutating func askNodes() {
        for turn in 0..<max(1, (activeCount + Limit.rotation - 1) / Limit.rotation) {
            guard let peer = nextInRotation() else { return }
            let entries = turn == 0 ? digest(first: [peer.id]) : shortDigest([peer.id])
            send(.digest(from: settings.peer, isRequest: turn == 0, entries), to: peer.address)
        }
    }

    private mutating func nextInRotation() -> GossipPeer? {
        while let id = rotation.popLast() {
            if let member = members[id], member.status == .active { return member.peer }
        }
        rotation = activeIDs.shuffled(using: &random)
        return rotation.popLast().flatMap { members[$0]?.peer }
    }

    private mutating func askUnreachable() {
        guard activeCount < order.count else { return }
        let silent = order.filter { members[$0]?.status == .unreachable }
        guard let peer = silent.randomElement(using: &random).flatMap({ members[$0]?.peer }) else { return }
        send(.digest(from: settings.peer, isRequest: true, digest(first: [peer.id])), to: peer.address)
    }

    /// Now and then a forgotten node is asked itself: it may be back where no seed knows of it.
    private mutating func askForgotten() {
        guard ticks % UInt64(Limit.rotation) == 0, !tombstones.isEmpty else { return }
        for (id, tombstone) in tombstones where tombstone.expiry <= now { tombstones[id] = nil }
        let candidates = tombstones.values.filter { !$0.hasLeft }.map(\.peer).sorted { $0.id < $1.id }
        if let peer = candidates.randomElement(using: &random) { probe(peer.address) }
    }

    mutating func probe(_ address: String) {
        send(.digest(from: settings.peer, isRequest: true, shortDigest([])), to: address)
    }

    /// This node and those named, no others.
    func shortDigest(_ ids: [String]) -> [DigestEntry] {
        var room = settings.maxPacketSize - GossipSize.prefix - GossipSize.digestHeader(settings.peer)
        return ([ownDigest] + ids.compactMap { members[$0].map(Self.digestEntry) }).filter { fits($0, &room) }
    }

    /// This node first, then those named, then those that have changed lately (at most half of the packet), then any.
    mutating func digest(first ids: [String]) -> [DigestEntry] {
        var room = settings.maxPacketSize - GossipSize.prefix - GossipSize.digestHeader(settings.peer)
        let named = [ownDigest] + ids.compactMap { members[$0].map(Self.digestEntry) }
        var chosen = named.filter { fits($0, &room) }
        let others = order.shuffled(using: &random).compactMap { ids.contains($0) ? nil : members[$0] }
        let isHot = { [now] (member: Member) in member.changed > 0 && member.changed + Limit.hot > now }
        let half = room / 2
        var left: [Member] = []
        for member in others where member.status != .unreachable {
            let entry = Self.digestEntry(member)
            if isHot(member), room > half, fits(entry, &room) { chosen.append(entry) } else { left.append(member) }
        }
        for member in left {
            let entry = Self.digestEntry(member)
            if fits(entry, &room) { chosen.append(entry) } else if room < 64 { break }
        }
        return chosen
    }

    private static func digestEntry(_ member: Member) -> DigestEntry {
        DigestEntry(peer: member.peer, version: member.version, left: member.hasLeft)
    }

    private func fits(_ entry: DigestEntry, _ room: inout Int) -> Bool {
        let size = GossipSize.digestEntry(entry)
        guard size <= room else { return false }
        room -= size
        return true
    }

    // MARK: Seeds

    private mutating func checkSeeds() {
        guard now >= nextSeedCheck, !own.hasLeft else { return }
        for (address, deadline) in dialing where deadline <= now { dialing[address] = nil }
        let addresses = activeAddresses
        let others = seeds.filter { !isOwn($0) }
        let isComplete = isJoined && !seeds.isEmpty && others.allSatisfy { addresses.contains($0) }
        let isSearching = !isJoined && (seeds.isEmpty || !others.isEmpty)
        let wait = isSearching ? Limit.seeds.joining : isComplete ? Limit.seeds.complete : Limit.seeds.missing
        nextSeedCheck = now + wait + UInt64.random(in: 0...wait / 10, using: &random)
        out.append(.resolveSeeds)
    }

    private var activeAddresses: Set<String> {
        Set(members.values.filter { $0.status == .active }.map(\.peer.address))
    }

    /// Seeds that are no active members are joined while this node is alone, and asked as well: a connection through a network that was
    /// cut is noticed to be dead only after seconds, when the network may long be whole again.
    mutating func ask(seeds addresses: [String]) {
        guard !own.hasLeft else { return }
        seeds = Array(addresses.prefix(Limit.seedCount))
        aliases.formIntersection(seeds)
        let known = activeAddresses
        // A seed may have joined this node instead.
        if seeds.contains(where: known.contains) { isJoined = true }
        for address in seeds.shuffled(using: &random) where address != settings.peer.address && !known.contains(address) {
            probe(address)
            if !isJoined || known.isEmpty { join(address) }
        }
    }

    /// Asks a node for all it knows, whole.
    mutating func join(_ address: String) {
        guard dialing[address] == nil, dialing.count < Limit.dials else { return }
        dialing[address] = now + Limit.dialTime
        let digest =
            [ownDigest]
            + order.compactMap { members[$0] }.filter { $0.status != .unreachable }.map(Self.digestEntry)
        let bytes = GossipMessage.join(from: settings.peer, [ownDelta], digest).bytes
        counters.connectionsOutbound += 1
        counters.streamBytesOutbound += UInt64(bytes.count)
        counters.digestEntriesOutbound += UInt64(digest.count)
        countOutbound([ownDelta])
        out.append(.join(bytes, to: address))
    }
}
