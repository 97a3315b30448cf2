// SPDX-License-Identifier: MIT
// Gossip over real sockets on loopback. What is said and believed has its own tests without sockets (PikoCoreTests/Gossip); here is what the
// shell makes of it: packets, connections, names, time.

import Dispatch
import PikoCore
import PikoEngine
import Testing

@testable import PikoControl

@Suite(.serialized) struct GossipShellTests {
    @Test("two nodes: the second joins by a seed, each knows the other's addresses and endpoints")
    func join() throws {
        try GossipNest.run { nest in
            let first = try nest.start("first")
            #expect(first.isReady)
            let second = try nest.start("second", joining: [first.address])
            try nest.ask(first) { $0.setListeners(["web": 2]) }
            #expect(comesTrue { second.belief("first")?.endpoints == ["web": 2] && first.belief("second")?.proxyAddress == "second:8000" })
            #expect(comesTrue { second.isReady })
            try nest.ask(first) { $0.setListeners(["web": 0]) }
            #expect(comesTrue { second.belief("first")?.endpoints == [:] })
        }
    }

    @Test("a node that is known by a name is found")
    func names() throws {
        try GossipNest.run { nest in
            let first = try nest.start("first", host: "localhost")
            let second = try nest.start("second", joining: [first.address], host: "localhost")
            #expect(comesTrue { second.isReady })
            try nest.ask(second) { $0.setListeners(["web": 1]) }
            #expect(comesTrue { first.belief("second")?.endpoints == ["web": 1] })
        }
    }

    @Test("a node that ends without a word becomes unreachable; who watches is told")
    func silence() throws {
        try GossipNest.run { nest in
            let first = try nest.start("first")
            let second = try nest.start("second", joining: [first.address])
            #expect(comesTrue { first.belief("second") != nil })
            let told = DispatchSemaphore(value: 0)
            try nest.ask(first) {
                $0.watch { if $0 == .status(id: "second", .unreachable) { told.signal() } }
            }
            nest.kill(second)
            #expect(comesTrue { first.belief("second")?.status == .unreachable })
            #expect(told.wait(timeout: .now() + 5) == .success)
        }
    }

    @Test("leaving: others know it when the completion runs; alone it runs at once")
    func leave() throws {
        try GossipNest.run { nest in
            let first = try nest.start("first")
            let second = try nest.start("second", joining: [first.address])
            #expect(comesTrue { first.belief("second") != nil && second.belief("first") != nil })
            let left = DispatchSemaphore(value: 0)
            try nest.ask(second) { $0.leave { left.signal() } }
            #expect(left.wait(timeout: .now() + 5) == .success)
            #expect(first.belief("second")?.status == .left)
            #expect(second.belief("second")?.status == .left)
            try nest.ask(second) { $0.leave { left.signal() } }
            #expect(left.wait(timeout: .now() + 5) == .success, "once more is no harm")
            let alone = try nest.start("alone")
            try nest.ask(alone) { $0.leave { left.signal() } }
            #expect(left.wait(timeout: .now() + 5) == .success)
        }
    }

    @Test("leaving: a node that takes the message and says nothing is waited for a second, no longer")
    func silentLeave() throws {
        let silent = try TestSocket.listening()
        let address = "127.0.0.1:\(silent.port)"
        try GossipNest.run { nest in
            let node = try nest.start("node")
            let peer = GossipPeer(id: "silent", address: address)
            let entries = ["proxy_addr", "admin_addr"].enumerated().map { GossipEntry(key: $1, value: "h:1", version: UInt64($0 + 1)) }
            let join = GossipMessage.join(
                from: peer, [NodeDelta(peer: peer, entries: entries)], [DigestEntry(peer: peer, version: 2, left: false)])
            let caller = try TestSocket.connected(to: node.port)
            try caller.send(join.bytes)
            _ = try caller.readToEnd()
            let left = DispatchSemaphore(value: 0)
            let began = EventLoop.nanoseconds
            try nest.ask(node) { $0.leave { left.signal() } }
            let taken = try silent.accept()
            #expect(left.wait(timeout: .now() + 5) == .success)
            #expect(EventLoop.nanoseconds - began >= 900_000_000)
            _ = taken
        }
    }

    @Test("a request that comes byte by byte is answered whole; what is none, is ended without an answer")
    func drip() throws {
        try GossipNest.run { nest in
            let node = try nest.start("node")
            let peer = GossipPeer(id: "p", address: "127.0.0.1:1")
            let caller = try TestSocket.connected(to: node.port)
            for byte in GossipMessage.join(from: peer, [], []).bytes { try caller.send([byte]) }
            let answer = Array(try caller.readToEnd().utf8)
            #expect(!answer.isEmpty)
            for wrong in ["GET / HTTP/1.1\r\n\r\n", "\u{3}\u{1}", "\u{7f}\u{0}"] {
                let other = try TestSocket.connected(to: node.port)
                try other.send(wrong)
                #expect((try? other.readToEnd()) ?? "" == "")
            }
            #expect(try nest.ask(node) { $0.counters.malformed } == 3)
        }
    }

    @Test("connections that say nothing: once they have had two seconds the oldest gives way to who comes, and is counted")
    func oldestGivesWay() throws {
        try GossipNest.run { nest in
            let node = try nest.start("node")
            let crowd = try (0..<128).map { _ in try TestSocket.connected(to: node.port) }
            let join = GossipMessage.join(from: GossipPeer(id: "p", address: "127.0.0.1:1"), [], []).bytes
            #expect(comesTrue {
                guard let caller = try? TestSocket.connected(to: node.port), (try? caller.send(join)) != nil else { return false }
                return (try? caller.readToEnd()).map { !$0.isEmpty } ?? false
            })
            #expect(crowd[0].endsByReset())
            #expect(try nest.ask(node) { $0.counters.rejected[.bound] ?? 0 } >= 1)
        }
    }

    @Test("connections that say nothing have no more than their places: the next is refused, a packet is still answered")
    func crowd() throws {
        try GossipNest.run { nest in
            let node = try nest.start("node")
            let crowd = try (0..<128).map { _ in try TestSocket.connected(to: node.port) }
            let refused = try TestSocket.connected(to: node.port)
            #expect(refused.endsByReset())
            #expect(try comesTrue { try nest.ask(node) { $0.counters.rejected } == [.bound: 1] })
            let second = try nest.start("second", joining: [node.address])
            #expect(comesTrue { second.belief("node") != nil }, "by packets")
            withExtendedLifetime(crowd) {}
        }
    }

    @Test("a message that ends too early or is too long is counted; a connection that says nothing and ends is not")
    func halves() throws {
        try GossipNest.run { nest in
            let node = try nest.start("node", keys: [#require(GossipSecret(String(repeating: "07", count: 32)))])
            var counted: [GossipRejection: UInt64] { get throws { try nest.ask(node) { $0.counters.rejected } } }
            do { _ = try TestSocket.connected(to: node.port) }
            let half = try TestSocket.connected(to: node.port)
            try half.send([0xC1])
            half.shut()
            _ = try? half.readToEnd()
            #expect(try comesTrue { try counted == [.truncated: 1] })
            let plain = try nest.start("plain")
            let entries = (0..<200_000).map { GossipEntry(key: String(repeating: "k", count: 90), value: "", version: UInt64($0 + 1)) }
            let peer = GossipPeer(id: "p", address: "127.0.0.1:1")
            let long = try TestSocket.connected(to: plain.port)
            try? long.send(GossipMessage.join(from: peer, [NodeDelta(peer: peer, entries: entries)], []).bytes)
            #expect(try comesTrue { try nest.ask(plain) { $0.counters.rejected } == [.bound: 1] })
        }
    }

    @Test("a message that does not come in time is counted, and its connection ended")
    func late() throws {
        try GossipNest.run { nest in
            let loop = nest.loop
            let door = LoopBound<GossipDoor>(on: loop)
            let over = DispatchSemaphore(value: 0)
            let port = loop.sync { () -> UInt16 in
                door.value = GossipDoor(on: loop) { over.signal() }
                return door.value?.port ?? 0
            }
            let caller = try TestSocket.connected(to: try #require(port))
            try caller.send([3, 0])
            #expect(caller.endsByReset())
            #expect(over.wait(timeout: .now() + 5) == .success)
            #expect(door.sync { $0.seen } == [.late])
            loop.sync {
                door.value?.close()
                door.value = nil
            }
        }
    }

    @Test("an answer that nobody reads is counted, and its connection ended")
    func unread() throws {
        try GossipNest.run { nest in
            let loop = nest.loop
            let door = LoopBound<GossipDoor>(on: loop)
            let over = DispatchSemaphore(value: 0)
            let port = loop.sync { () -> UInt16 in
                door.value = GossipDoor(answering: [UInt8](repeating: 0, count: 32 << 20), on: loop) { over.signal() }
                return door.value?.port ?? 0
            }
            let caller = try TestSocket.connected(to: try #require(port))
            try caller.send(GossipMessage.join(from: GossipPeer(id: "p", address: "127.0.0.1:1"), [], []).bytes)
            #expect(over.wait(timeout: .now() + 10) == .success)
            #expect(door.sync { $0.seen } == [.late])
            withExtendedLifetime(caller) {}
            loop.sync {
                door.value?.close()
                door.value = nil
            }
        }
    }

    @Test("ten thousand endpoints, then a thousand changes, are known elsewhere; packets and bytes stay bounded")
    func many() throws {
        try GossipNest.run { nest in
            let owner = try nest.start("owner")
            let other = try nest.start("other", joining: [owner.address])
            #expect(comesTrue { other.belief("owner") != nil })
            let before = try nest.ask(owner) { $0.counters.packetBytesOutbound }
            let all = Dictionary(uniqueKeysWithValues: (0..<10_000).map { ("endpoint-\($0)", 1) })
            try nest.ask(owner) { $0.setListeners(all) }
            #expect(comesTrue { other.belief("owner")?.endpoints.count == 10_000 })
            try nest.ask(owner) { shell in for number in 0..<1_000 { shell.setListeners(["endpoint-\(number)": 2]) } }
            #expect(comesTrue { other.belief("owner")?.upstreamCount == 11_000 })
            let sent = try nest.ask(owner) { $0.counters.packetBytesOutbound } - before
            #expect(sent < 3_000_000, "\(sent) bytes")
            #expect(try nest.ask(owner) { $0.lostPackets } == 0)
        }
    }

    @Test("seeds: nobody answers in time, and later somebody does")
    func failure() throws {
        try GossipNest.run { nest in
            let node = try nest.start("node", joining: ["127.0.0.1:1"], timeout: .milliseconds(200))
            #expect(comesTrue { node.hasFailed })
            #expect(!node.isReady)
            let late = try nest.start("late", joining: [node.address])
            #expect(comesTrue { node.belief("late") != nil && late.isReady })
        }
    }

    @Test("a port that is taken for UDP alone is refused; port 0 is one number for both")
    func ports() throws {
        try GossipNest.run { nest in
            let loop = nest.loop
            let outcome = loop.sync { () -> [Bool] in
                guard let taken = try? Datagram.bind(at: SocketAddress(host: "127.0.0.1", port: 0)!, on: loop, onPacket: { _, _ in }) else { return [] }
                defer { taken.close() }
                let refused = (try? GossipPort(at: [taken.address!], isAny: false, on: loop)) == nil
                let both = [SocketAddress(host: "127.0.0.1", port: 0)!, SocketAddress(host: "::1", port: 0)!]
                guard let port = try? GossipPort(at: both, isAny: false, on: loop), let number = port.address?.port else { return [refused, false] }
                defer { port.close() }
                let isAlone = ["127.0.0.1", "::1"].allSatisfy { host in
                    (try? Datagram.bind(at: SocketAddress(host: host, port: number)!, on: loop) { _, _ in }) == nil
                        && (try? Listener.listen(at: SocketAddress(host: host, port: number)!, on: loop) { $0.abort() }) == nil
                }
                return [refused, isAlone]
            }
            #expect(outcome == [true, true])
        }
    }
}

/// Takes connections of gossip that have 50 ms for their message, and as many for the answer. Loop-confined.
private final class GossipDoor {
    private(set) var seen: [GossipRejection] = []
    private var listener: Listener?

    /// - Parameter answer: nil: a message ends the connection.
    init(answering answer: [UInt8]? = nil, on loop: EventLoop, onClosed: @escaping () -> Void) {
        listener = try? Listener.listen(at: SocketAddress(host: "127.0.0.1", port: 0)!, on: loop) { [unowned self] connection in
            let stream = GossipStream(connection, expecting: .request, patience: 50) { stream, _ in
                if let answer { stream.finish(with: answer) } else { stream.abort() }
            } onClosed: { _ in onClosed() }
            stream.onRejected = { [unowned self] in seen.append($0) }
        }
    }

    var port: UInt16 { listener?.address?.port ?? 0 }

    func close() { listener?.close() }
}
