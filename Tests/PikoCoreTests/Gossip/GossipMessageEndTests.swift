// SPDX-License-Identifier: MIT
// Where a message of gossip on a connection ends, for every split of its bytes, and of each kind of value that MessagePack has.
// No sockets; what the messages say is tested in GossipMessageTests.

import Testing

@testable import PikoCore

@Suite struct GossipMessageEndTests {
    private let peer = GossipPeer(id: "a", address: "h:1")

    /// After how many bytes, taken in pieces of `size`, the end was found.
    private func end(of bytes: [UInt8], _ end: GossipMessageEnd, piece size: Int) -> Int? {
        var end = end
        for start in stride(from: 0, to: bytes.count, by: size) {
            let piece = bytes[start..<min(start + size, bytes.count)]
            if piece.withUnsafeBytes({ end.isOver(after: $0) }) { return piece.endIndex }
        }
        return nil
    }

    private func expectEnd(at count: Int?, of bytes: [UInt8], _ end: GossipMessageEnd) {
        for size in 1...max(1, bytes.count) {
            let rounded = count.map { min(bytes.count, ($0 + size - 1) / size * size) }
            #expect(self.end(of: bytes, end, piece: size) == rounded, "pieces of \(size)")
        }
    }

    private var nodes: [NodeDelta] {
        let long = GossipEntry(key: "k", value: String(repeating: "v", count: 300), version: .max)
        return [NodeDelta(peer: peer, entries: [long, GossipEntry(key: "l", value: "", version: 1)]), NodeDelta(peer: peer, entries: [])]
    }

    @Test("a join and a leave end with their last value, and not before")
    func requests() {
        let digest = [DigestEntry(peer: peer, version: 70_000, left: true)]
        let messages = [
            GossipMessage.join(from: peer, nodes, digest), .join(from: peer, [], []), .leave(from: peer, nodes), .leave(from: peer, []),
        ]
        for message in messages {
            let bytes = message.bytes
            expectEnd(at: bytes.count, of: bytes, .ofRequest)
            expectEnd(at: nil, of: Array(bytes.dropLast()), .ofRequest)
            expectEnd(at: bytes.count, of: bytes + [0xC0, 0x01], .ofRequest)
        }
    }

    @Test("an answer ends with its last value: a leave's with the header, a join's with the nodes")
    func replies() {
        for toJoin in [true, false] {
            let bytes = GossipReply(from: peer, nodes: nodes).bytes(toJoin: toJoin)
            expectEnd(at: bytes.count, of: bytes, .ofReply(toJoin: toJoin))
            expectEnd(at: nil, of: Array(bytes.dropLast()), .ofReply(toJoin: toJoin))
        }
    }

    @Test("a digest or delta on a connection ends with the connection only")
    func packets() {
        let digest = GossipMessage.digest(from: peer, isRequest: true, [DigestEntry(peer: peer, version: 1, left: false)])
        for message in [digest, .delta(from: peer, nodes)] { expectEnd(at: nil, of: message.bytes, .ofRequest) }
    }

    @Test("every kind of value has its length", arguments: [
        [0x7F], [0xE0], [0xC0], [0xC2], [0xC3], [0xCA, 1, 2, 3, 4], [0xCB, 1, 2, 3, 4, 5, 6, 7, 8], [0xCC, 1], [0xCD, 1, 2], [0xCE, 1, 2, 3, 4],
        [0xCF, 1, 2, 3, 4, 5, 6, 7, 8], [0xD0, 1], [0xD1, 1, 2], [0xD2, 1, 2, 3, 4], [0xD3, 1, 2, 3, 4, 5, 6, 7, 8], [0xC4, 2, 0, 0], [0xC5, 0, 1, 0],
        [0xC6, 0, 0, 0, 1, 0], [0xA2, 1, 2], [0xD9, 1, 0], [0xDA, 0, 1, 0], [0xDB, 0, 0, 0, 1, 0], [0x92, 1, 1], [0xDC, 0, 1, 1], [0xDD, 0, 0, 0, 0],
        [0x81, 1, 1], [0xDE, 0, 1, 1, 1], [0xDF, 0, 0, 0, 1, 1, 1],
    ] as [[UInt8]])
    func kinds(_ value: [UInt8]) {
        expectEnd(at: value.count, of: value + [0xC0], .ofReply(toJoin: false))
    }

    @Test("what is no message is over at once: an unknown kind or version, a byte that begins no value, a list in a list for ever")
    func nonsense() {
        for bytes in [[7, 0], [0x47, 0x45], [3, 1, 0], [3, 0, 0xC1], [4, 0, 0xD4]] as [[UInt8]] {
            #expect(end(of: bytes, .ofRequest, piece: 1) != nil, "\(bytes)")
        }
        #expect(end(of: [3, 0] + Array(repeating: 0x91, count: 1000), .ofRequest, piece: 1).map { $0 < 64 } == true)
    }

    @Test("a list that claims four thousand million values waits for them, and costs nothing meanwhile")
    func claims() {
        expectEnd(at: nil, of: [4, 0, 0xDD, 0xFF, 0xFF, 0xFF, 0xFF, 0xC0], .ofRequest)
    }
}
