// SPDX-License-Identifier: MIT
// Gossip on the wire: the original's recorded messages in both directions, packets within their limit, hostile bytes.
// No sockets; the vectors are read from Tests/vectors.

import Foundation
import Testing

@testable import PikoCore

@Suite struct GossipMessageTests {
    private struct Vectors: Decodable {
        struct Message: Decodable {
            var name: String
            var transport: String
            var hex: String
        }
        var messages: [Message]
    }

    private static let vectors: [Vectors.Message] = {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let data = try! Data(contentsOf: tests.appendingPathComponent("vectors/gossip.json"))
        return try! JSONDecoder().decode(Vectors.self, from: data).messages
    }()

    private func bytes(_ hex: String) -> [UInt8] {
        stride(from: 0, to: hex.count, by: 2).map { offset in
            let start = hex.index(hex.startIndex, offsetBy: offset)
            return UInt8(hex[start..<hex.index(start, offsetBy: 2)], radix: 16)!
        }
    }

    @Test("recorded messages of the original are read and written back byte for byte")
    func recorded() throws {
        #expect(Self.vectors.count >= 8)
        for vector in Self.vectors where vector.transport != "tcp-reply" {
            let original = bytes(vector.hex)
            let message = try GossipMessage.read(original[...])
            #expect(message.bytes == original, "\(vector.name)")
        }
    }

    @Test("recorded replies of the original are read and written back byte for byte")
    func replies() throws {
        for vector in Self.vectors where vector.transport == "tcp-reply" {
            let original = bytes(vector.hex)
            let reply = try GossipReply.read(original[...], toJoin: vector.name.contains("join"))
            #expect(reply.bytes(toJoin: vector.name.contains("join")) == original, "\(vector.name)")
        }
    }

    @Test("every truncation of a recorded message is refused or a shorter message, never a trap")
    func truncations() {
        for vector in Self.vectors {
            let whole = bytes(vector.hex)
            for count in 0..<whole.count {
                _ = try? GossipMessage.read(whole[..<count])
                _ = try? GossipReply.read(whole[..<count], toJoin: true)
            }
            for index in whole.indices {
                var broken = whole
                for value: UInt8 in [0x00, 0x7F, 0x9F, 0xC1, 0xDB, 0xDD, 0xDF, 0xFF] {
                    broken[index] = value
                    _ = try? GossipMessage.read(broken[...])
                }
            }
        }
    }

    @Test("unknown fields of any kind are passed over")
    func unknownFields() throws {
        var writer = MessagePackWriter()
        writer.append(byte: 1)
        writer.append(byte: 0)
        writer.beginMap(4)
        writer.append("later")
        writer.beginList(2)
        writer.append("x")
        writer.beginMap(1)
        writer.append("deep")
        writer.appendNil()
        writer.append("node_id")
        writer.append("a")
        writer.append("addr")
        writer.append("h:1")
        writer.append("request")
        writer.append(true)
        let message = try GossipMessage.read(writer.bytes[...])
        #expect(message == .digest(from: GossipPeer(id: "a", address: "h:1"), isRequest: true, []))
    }

    @Test("a list that claims more than the message holds is refused before anything is made of it")
    func claims() {
        let header: [UInt8] = [3, 0, 0x82] + [0xA7] + Array("node_id".utf8) + [0xA1, 0x61, 0xA4] + Array("addr".utf8) + [0xA1, 0x62]
        #expect(throws: GossipFault.incomplete) { try GossipMessage.read((header + [0xDD, 0xFF, 0xFF, 0xFF, 0xFF])[...]) }
    }

    @Test("who has no name or no address, and what has no key or no version, is refused: each would be far larger in memory than it was as bytes")
    func empties() throws {
        let peer = GossipPeer(id: "a", address: "b")
        let entry = GossipEntry(key: "k", value: "", version: 1)
        let digest = DigestEntry(peer: peer, version: 0, left: false)
        #expect(throws: Never.self) { try read(GossipMessage.join(from: peer, [NodeDelta(peer: peer, entries: [entry])], [digest])) }
        let nobodies = [GossipPeer(id: "", address: "b"), GossipPeer(id: "a", address: "")]
        for nobody in nobodies {
            #expect(throws: GossipFault.malformed) { try read(.join(from: peer, [NodeDelta(peer: nobody, entries: [])], [])) }
            #expect(throws: GossipFault.malformed) { try read(.join(from: peer, [], [DigestEntry(peer: nobody, version: 1, left: false)])) }
            #expect(throws: GossipFault.malformed) { try read(.digest(from: peer, isRequest: false, [DigestEntry(peer: nobody, version: 1, left: false)])) }
            #expect(throws: GossipFault.malformed) { try read(.delta(from: peer, [NodeDelta(peer: nobody, entries: [entry])])) }
        }
        for nothing in [GossipEntry(key: "", value: "v", version: 1), GossipEntry(key: "k", value: "v", version: 0)] {
            #expect(throws: GossipFault.malformed) { try read(.join(from: peer, [NodeDelta(peer: peer, entries: [nothing])], [])) }
        }
        let header: [UInt8] = [3, 0, 0x82] + [0xA7] + Array("node_id".utf8) + [0xA1, 0x61, 0xA4] + Array("addr".utf8) + [0xA1, 0x62]
        #expect(throws: GossipFault.malformed) { try GossipMessage.read((header + [0xDC, 0x00, 0x10] + Array(repeating: 0x80, count: 16))[...]) }
    }

    private func read(_ message: GossipMessage) throws -> GossipMessage { try GossipMessage.read(message.bytes[...]) }

    @Test("nesting deeper than any message is refused")
    func nesting() {
        let bytes: [UInt8] = [1, 0, 0x81, 0xA1, 0x78] + Array(repeating: 0x91, count: 10_000)
        #expect(throws: GossipFault.malformed) { try GossipMessage.read(bytes[...]) }
    }

    @Test("packets stay within the limit and hold whole entries")
    func limits() throws {
        let me = GossipPeer(id: "node-a", address: "127.0.0.1:8003")
        let entries = (0..<500).map { GossipEntry(key: "endpoint:e\($0)", value: "1", version: UInt64($0 + 1)) }
        let digest = (0..<200).map { DigestEntry(peer: GossipPeer(id: "n\($0)", address: "h:\($0)"), version: 7, left: false) }
        for limit in [200, 508, 1400, 9000] {
            let delta = GossipMessage.deltaPacket(from: me, [NodeDelta(peer: me, entries: entries)], limit: limit)
            #expect(delta.count <= limit)
            guard case .delta(_, let nodes) = try GossipMessage.read(delta[...]) else { Issue.record("no delta"); return }
            #expect(nodes.count == 1 && nodes[0].entries == Array(entries.prefix(nodes[0].entries.count)))
            #expect(nodes[0].entries.count > 0)
            let packet = GossipMessage.digestPacket(from: me, isRequest: true, digest, limit: limit)
            #expect(packet.count <= limit)
            #expect(throws: Never.self) { try GossipMessage.read(packet[...]) }
        }
    }

    @Test("a full packet of the original has fewer entries than it announces: those it has count")
    func announced() throws {
        let me = GossipPeer(id: "node-a", address: "127.0.0.1:8003")
        let entries = (1...20).map { GossipEntry(key: "endpoint:e", value: "1", version: UInt64($0)) }
        let whole = GossipMessage.delta(from: me, [NodeDelta(peer: me, entries: entries)]).bytes
        for count in 0..<20 {
            let part = Array(entries.prefix(count))
            let end = whole.count - entries.dropFirst(count).reduce(0) { $0 + GossipSize.entry($1) }
            #expect(try GossipMessage.read(whole[..<end]) == .delta(from: me, [NodeDelta(peer: me, entries: part)]))
            #expect(throws: GossipFault.incomplete) { try GossipMessage.read(whole[..<(end - 1)]) }
        }
    }

    @Test("strings of every length and integers of every size survive")
    func scalars() throws {
        for count in [0, 31, 32, 255, 256, 65_535, 65_536] {
            var writer = MessagePackWriter()
            let text = String(repeating: "x", count: count)
            writer.append(text)
            var reader = MessagePackReader(writer.bytes[...])
            #expect(try reader.string() == text)
        }
        for value: UInt64 in [0, 127, 128, 255, 256, 65_535, 65_536, 1 << 32 - 1, 1 << 32, .max] {
            var writer = MessagePackWriter()
            writer.append(value)
            var reader = MessagePackReader(writer.bytes[...])
            #expect(try reader.unsigned() == value)
        }
    }
}
