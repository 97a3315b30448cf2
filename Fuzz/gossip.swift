// SPDX-License-Identifier: MIT
// Fuzzes what other nodes send by gossip: the reader of messages, and a node that is told them. Holds: what was read is written and read again
// as the same; a node never traps, keeps its packets within their limit and its nodes bounded, believes nobody about itself, and its view
// counts what it was told. Single-threaded; one node for each input, so that a finding is found again.
// fuzz-sources: Sources/PikoCore/Gossip/*.swift Sources/PikoCore/Routing/FoldedNames.swift
// fuzz-seeds: gossip.hex

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    checkCodec(bytes[...])
    var listener = Listener()
    // Whole, then in two pieces, so that one input can be two messages.
    for piece in [bytes[...], bytes[..<(count / 2)], bytes[(count / 2)...]] { listener.hear(piece) }
    listener.check()
    return 0
}

/// Bytes that a reader takes have an end, the same however they come, and what is before the end is taken as well.
private func checkEnd(_ bytes: ArraySlice<UInt8>, _ end: GossipMessageEnd, isTaken: (ArraySlice<UInt8>) -> Bool) {
    var whole = end, split = end
    let isOver = bytes.withUnsafeBytes { whole.isOver(after: $0) }
    let last = bytes.withUnsafeBytes { bytes in bytes.indices.first { split.isOver(after: .init(rebasing: bytes[$0...$0])) } }
    precondition(isOver == (last != nil), "pieces have another end")
    guard isTaken(bytes) else { return }
    guard let last else { fatalError("a whole message has no end") }
    precondition(isTaken(bytes.prefix(last + 1)), "a message ends before it is whole")
}

private func checkEnds(_ bytes: ArraySlice<UInt8>) {
    for isJoin in [true, false] {
        checkEnd(bytes, .ofReply(toJoin: isJoin)) { (try? GossipReply.read($0, toJoin: isJoin)) != nil }
    }
    // The others end with their connection.
    guard let kind = bytes.first, (3...4).contains(kind) else { return }
    checkEnd(bytes, .ofRequest) { (try? GossipMessage.read($0)) != nil }
}

private func checkCodec(_ bytes: ArraySlice<UInt8>) {
    checkEnds(bytes)
    if let message = try? GossipMessage.read(bytes) {
        let written = message.bytes
        guard let again = try? GossipMessage.read(written[...]) else { fatalError("what was written is not read") }
        precondition(again.bytes == written, "written once more, a message changes")
    }
    for isJoin in [true, false] {
        guard let reply = try? GossipReply.read(bytes, toJoin: isJoin) else { continue }
        let written = reply.bytes(toJoin: isJoin)
        guard let again = try? GossipReply.read(written[...], toJoin: isJoin) else { fatalError("what was written is not read") }
        precondition(again.bytes(toJoin: isJoin) == written, "written once more, a reply changes")
    }
}

/// A node with an endpoint and a peer, and the view that it keeps up to date.
private struct Listener {
    private var node: Gossip
    private var view = ClusterView(localID: "node-a")
    private var now: UInt64 = 1

    init() {
        let settings = GossipSettings(
            peer: GossipPeer(id: "node-a", address: "127.0.0.1:28003"), proxyAddress: "127.0.0.1:28000", adminAddress: "127.0.0.1:28002",
            maxPacketSize: 1400, versionBase: 1000)
        node = Gossip(settings, random: GossipRandom(seed: 1), now: 0)
        tell(.tick)
        tell(.listeners(endpoint: "web", 2))
        tell(.seeds(["127.0.0.1:28103"]))
    }

    /// The same bytes on every way that bytes come in, with time between.
    mutating func hear(_ bytes: ArraySlice<UInt8>) {
        tell(.packet(bytes, from: "127.0.0.1:28103"))
        tell(.request(bytes))
        tell(.tick)
        tell(.joinReply(bytes, from: "127.0.0.1:28103"))
        now += 3_000
        tell(.packet(bytes, from: "127.0.0.1:28103"))
        tell(.tick)
        now += 61_000
        tell(.tick)
    }

    private mutating func tell(_ event: GossipEvent) {
        now += 1
        for directive in node.handle(event, now: now) {
            switch directive {
            case .send(let message, _): precondition(message.bytes.count <= 1400, "a packet beyond its limit")
            case .change(let change): view.apply(change)
            default: break
            }
        }
        precondition(node.nextTick > 0 && node.nodes.count <= 2049)
    }

    /// What it says of itself is its own, and what it shows of others is what they wrote.
    func check() {
        precondition(view.node("node-a")?.endpoints == ["web": 2] && view.node("node-a")?.status == .active, "somebody else was believed")
        for state in node.nodes where state.peer.id != "node-a" {
            let entries = node.entries(state.peer.id) ?? []
            precondition(zip(entries, entries.dropFirst()).allSatisfy { $0.version < $1.version }, "entries out of order")
            guard let shown = view.node(state.peer.id) else { continue }
            let live = entries.filter { !$0.isDeleted && $0.key.hasPrefix("endpoint:") && (Int($0.value) ?? 0) > 0 }
            precondition(live.count == shown.endpoints.count, "the view counts other endpoints than were told")
        }
    }
}
