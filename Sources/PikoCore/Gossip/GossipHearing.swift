// SPDX-License-Identifier: MIT
// What gossip does when it is told something: packets, joins and leaves, and whom it believes what.
// Part of Gossip: pure, confined to the control loop. A node itself is believed that it lives; hearsay is believed about keys only.

extension Gossip {
    mutating func receive(_ bytes: ArraySlice<UInt8>, from source: String) {
        do {
            receive(try GossipMessage.read(bytes), from: source)
        } catch {
            counters.packetBytesInbound += UInt64(bytes.count)
            reject(GossipEnvelope.isSealed(bytes) ? .sealed : .malformed, source)
        }
    }

    mutating func receive(_ message: GossipMessage, from source: String) {
        let size = GossipSize.packet(message)
        counters.packetBytesInbound += UInt64(size + settings.envelope)
        switch message {
        case .digest(let peer, let isRequest, let entries):
            guard isAnother(peer, source), isHeard(peer, source) else { return }
            hear(digest: entries, from: peer, isRequest: isRequest)
        case .delta(let peer, let nodes):
            guard isAnother(peer, source), isHeard(peer, source) else { return }
            hear(delta: nodes, from: peer, isLarge: size > settings.maxPacketSize / 2)
        case .join, .leave:
            reject(.malformed, source)
        }
    }

    /// Whether somebody else speaks, who has a name.
    private mutating func isAnother(_ peer: GossipPeer, _ source: String) -> Bool {
        guard peer.id == settings.peer.id else { return hasName(peer, source) }
        counters.rejected[.ownID, default: 0] += 1
        if peer.address != settings.peer.address, now >= nextTwinLine {
            nextTwinLine = now + 10_000
            out.append(.log(.sameID(address: source)))
        }
        return false
    }

    /// Packets of nodes that are not known are counted, and looked at so many a second: anybody can make one up.
    private mutating func isHeard(_ peer: GossipPeer, _ source: String) -> Bool {
        guard members[peer.id] == nil else { return true }
        counters.unknownNodePackets += 1
        guard strangers.take(now) else {
            reject(.bound, source)
            return false
        }
        return true
    }

    mutating func hasName(_ peer: GossipPeer, _ source: String) -> Bool {
        if isNamed(peer) { return true }
        reject(.unnamed, source)
        return false
    }

    private func isNamed(_ peer: GossipPeer) -> Bool {
        !peer.id.isEmpty && !peer.address.isEmpty && peer.id.utf8.count <= 256 && peer.address.utf8.count <= 280
    }

    // MARK: Digests

    private mutating func hear(digest: [DigestEntry], from peer: GossipPeer, isRequest: Bool) {
        counters.digestEntriesInbound += UInt64(digest.count)
        guard meet(peer, claims: digest.first { $0.peer.id == peer.id }?.version, isCertain: false) else { return }
        for entry in digest { hear(entry) }
        guard answers.take(now) else {
            counters.unanswered += 1
            return
        }
        send(.delta(from: settings.peer, delta(above: digest)), to: peer.address)
        guard isRequest else { return }
        let ahead = digest.filter { entry in members[entry.peer.id].map { $0.version < entry.version } ?? false }
        send(.digest(from: settings.peer, isRequest: false, self.digest(first: ahead.map(\.peer.id))), to: peer.address)
    }

    private mutating func hear(_ entry: DigestEntry) {
        let id = entry.peer.id
        if id == settings.peer.id { return refute(entry.version) }
        guard members[id] == nil, !entry.left else { return }
        if tombstones[id] != nil { return hearOfForgotten(entry.peer) }
        add(entry.peer)
    }

    /// Others still speak of a node that was forgotten here: it is not believed, but the node is asked.
    private mutating func hearOfForgotten(_ peer: GossipPeer) {
        guard var tombstone = tombstones[peer.id] else { return }
        tombstone.expiry = now + Limit.remembered
        let isDue = now >= tombstone.nextProbe
        if isDue { tombstone.nextProbe = now + Limit.probe }
        tombstones[peer.id] = tombstone
        if isDue, isNamed(peer) { probe(peer.address) }
    }

    /// The entries that a digest lacks, as many as fit. Who goes first is drawn, so that none starves behind another.
    private mutating func delta(above digest: [DigestEntry]) -> [NodeDelta] {
        var room = settings.maxPacketSize - GossipSize.prefix - GossipSize.deltaHeader(settings.peer, entries: 0)
        var lacking = digest.filter { version(of: $0.peer.id) > $0.version }
        lacking.shuffle(using: &random)
        var nodes: [NodeDelta] = []
        for entry in lacking where room > 0 {
            guard let node = part(of: entry.peer.id, above: entry.version, &room) else { continue }
            nodes.append(node)
        }
        return nodes
    }

    private func version(of id: String) -> UInt64 { id == settings.peer.id ? own.version : members[id]?.version ?? 0 }

    private func part(of id: String, above version: UInt64, _ room: inout Int) -> NodeDelta? {
        guard let peer = id == settings.peer.id ? settings.peer : members[id]?.peer else { return nil }
        var entries: [GossipEntry] = []
        // The count of entries takes one byte up to 127, three at most.
        var left = room - GossipSize.deltaHeader(peer, entries: 1) - 2
        let known = id == settings.peer.id ? own.entries : members[id]?.entries
        known?.forEach(above: version) { entry in
            let size = GossipSize.entry(entry)
            guard size <= left else { return false }
            left -= size
            entries.append(entry)
            return true
        }
        guard !entries.isEmpty else { return nil }
        room = left
        return NodeDelta(peer: peer, entries: entries)
    }

    // MARK: Deltas

    private mutating func hear(delta: [NodeDelta], from peer: GossipPeer, isLarge: Bool) {
        let claims = delta.first { $0.peer.id == peer.id }?.entries.last?.version
        guard meet(peer, claims: nil, isCertain: false) else { return }
        adoptAddress(peer, claims: claims)
        heartbeat(peer.id)
        var advanced: [String] = []
        for node in delta where hear(node, from: peer, isWhole: false) { advanced.append(node.peer.id) }
        guard isLarge, !advanced.isEmpty, pulls.take(now) else { return }
        send(.digest(from: settings.peer, isRequest: false, shortDigest(advanced)), to: peer.address)
    }

    /// Takes what is said of a node. True when some of it was new.
    /// - Parameter isWhole: nothing older is left out; without, a node of which nothing is known is only learned from its first key on:
    ///   an answer to a question that an earlier life asked would leave a gap that nobody ever fills.
    private mutating func hear(_ node: NodeDelta, from teller: GossipPeer, isWhole: Bool) -> Bool {
        counters.deltaEntriesInbound += UInt64(node.entries.count)
        let id = node.peer.id
        guard let first = node.entries.first, let last = node.entries.last else { return false }
        if id == settings.peer.id {
            refute(last.version)
            return false
        }
        if let member = members[id], teller.id != id, now < member.speaksForItselfUntil { return false }
        if members[id] == nil {
            if tombstones[id] != nil { hearOfForgotten(node.peer) }
            guard tombstones[id] == nil, !node.entries.contains(where: { $0.key == GossipKey.left }) else { return false }
            guard add(node.peer) else { return false }
        }
        guard isWhole || members[id]?.version != 0 || first.key == GossipKey.proxyAddress else {
            join(teller.address)
            return false
        }
        return apply(node)
    }

    private mutating func apply(_ node: NodeDelta) -> Bool {
        let id = node.peer.id
        let weight = node.entries.reduce(0) { $0 + VersionedEntries.weight(of: $1) }
        guard self.weight + weight <= Limit.weight else {
            meetBound(.tooMuchState)
            return false
        }
        self.weight += weight
        var changes: [ClusterChange] = []
        let applied = members[id]?.apply(node.entries, now: now, &changes) ?? 0
        out += changes.map { .change($0) }
        guard applied > 0, let member = members[id] else { return false }
        if isNamed(node.peer) { members[id]?.peer.address = node.peer.address }
        if member.hasLeft, member.status != .left { setStatus(id, .left) }
        if !member.hasLeft, member.status == .left { setStatus(id, .active) }
        return true
    }

    // MARK: Joins and leaves

    mutating func answer(_ bytes: ArraySlice<UInt8>) {
        counters.connectionsInbound += 1
        counters.streamBytesInbound += UInt64(bytes.count)
        let reply = reply(to: bytes)
        counters.streamBytesOutbound += UInt64(reply.count)
        out.append(.answer(reply))
    }

    /// Empty: it was not taken, which is counted.
    private mutating func reply(to bytes: ArraySlice<UInt8>) -> [UInt8] {
        switch try? GossipMessage.read(bytes) {
        // A seed may be this node under another name: so it finds out.
        case .join(settings.peer, _, _): return GossipReply(from: settings.peer, nodes: []).bytes(toJoin: true)
        case .join(let peer, let nodes, let digest):
            guard isAnother(peer, peer.address) else { return [] }
            guard meet(peer, claims: digest.first { $0.peer.id == peer.id }?.version, isCertain: true) else { return [] }
            heartbeat(peer.id)
            for node in nodes { _ = hear(node, from: peer, isWhole: node.peer.id == peer.id) }
            counters.digestEntriesInbound += UInt64(digest.count)
            for entry in digest { hear(entry) }
            let lacking = wholeDelta(above: digest)
            countOutbound(lacking)
            return GossipReply(from: settings.peer, nodes: lacking).bytes(toJoin: true)
        case .leave(let peer, let nodes):
            guard isAnother(peer, peer.address) else { return [] }
            for node in nodes where node.peer.id == peer.id && members[peer.id] != nil { _ = hear(node, from: peer, isWhole: true) }
            return GossipReply(from: settings.peer, nodes: []).bytes(toJoin: false)
        default:
            reject(GossipEnvelope.isSealed(bytes) ? .sealed : .malformed, "")
            return []
        }
    }

    /// Everything that a complete digest lacks. A node that is unreachable from here is not passed on to who does not know it.
    private func wholeDelta(above digest: [DigestEntry]) -> [NodeDelta] {
        let known = Dictionary(digest.map { ($0.peer.id, $0.version) }) { first, _ in first }
        var nodes: [NodeDelta] = []
        if known[settings.peer.id] ?? 0 < own.version {
            nodes.append(NodeDelta(peer: settings.peer, entries: own.entries.entries(above: known[settings.peer.id] ?? 0)))
        }
        for member in order.compactMap({ members[$0] }) {
            let version = known[member.peer.id]
            guard version ?? 0 < member.version, version != nil || member.status == .active else { continue }
            nodes.append(NodeDelta(peer: member.peer, entries: member.entries.entries(above: version ?? 0)))
        }
        return nodes
    }

    mutating func takeReply(_ bytes: ArraySlice<UInt8>, from address: String) {
        dialing[address] = nil
        counters.streamBytesInbound += UInt64(bytes.count)
        guard let reply = try? GossipReply.read(bytes, toJoin: true) else {
            reject(.malformed, address)
            return
        }
        // One address may be now this node, now another: it is asked again.
        guard reply.from != settings.peer else {
            if seeds.contains(address) { aliases.insert(address) }
            return
        }
        aliases.remove(address)
        guard isAnother(reply.from, address) else { return }
        guard meet(reply.from, claims: nil, isCertain: true) else { return }
        heartbeat(reply.from.id)
        for node in reply.nodes { _ = hear(node, from: reply.from, isWhole: true) }
        if !isJoined { out.append(.log(.joined(by: reply.from.id))) }
        isJoined = true
    }
}
