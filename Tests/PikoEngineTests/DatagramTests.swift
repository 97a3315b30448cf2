// SPDX-License-Identifier: MIT
// UDP sockets on loopback.
// Real loops on threads of their own; a test waits for packets, never for time.

import PikoEngine
import Testing

@Suite struct DatagramTests {
    private static func address(_ host: String) -> SocketAddress { SocketAddress(host: host, port: 0)! }

    @Test("packets arrive whole, with the address to answer to", arguments: ["127.0.0.1", "::1"])
    func echo(_ host: String) throws {
        try withLoops { loops in
            let loop = loops[0]
            let seen = Seen()
            let done = Signal()
            loop.post {
                var answering: Datagram?
                var asking: Datagram?
                answering = try? Datagram.bind(at: Self.address(host), on: loop) { answering?.send($0, to: $1) }
                asking = try? Datagram.bind(at: Self.address(host), on: loop) { [target = answering!.address!] bytes, source in
                    seen.text += text(bytes)
                    #expect(source == target)
                    answering?.close()
                    asking?.close()
                    answering = nil
                    asking = nil
                    done.fire()
                }
                #expect("hello".utf8.withContiguousStorageIfAvailable { asking!.send(UnsafeRawBufferPointer($0), to: answering!.address!) } == true)
            }
            #expect(done.wait())
            #expect(loop.sync { seen.text } == "hello")
        }
    }

    @Test("a packet that cannot go is lost and counted; a closed socket loses everything")
    func lost() throws {
        try withLoops { loops in
            let loop = loops[0]
            let counts = loop.sync { () -> [UInt64] in
                guard let datagram = try? Datagram.bind(at: Self.address("127.0.0.1"), on: loop, onPacket: { _, _ in }) else { return [] }
                let counted = loop.counts.datagrams
                let elsewhere = SocketAddress(host: "::1", port: 9)!
                let isSent = datagram.send(UnsafeRawBufferPointer(start: nil, count: 0), to: elsewhere)
                datagram.close()
                let isSentLater = datagram.send(UnsafeRawBufferPointer(start: nil, count: 0), to: elsewhere)
                return [UInt64(counted), datagram.lost, isSent || isSentLater ? 1 : 0]
            }
            #expect(counts == [1, 1, 0])
        }
    }

    @Test("an address that is taken is an error")
    func taken() throws {
        try withLoops { loops in
            let loop = loops[0]
            let isRefused = loop.sync { () -> Bool in
                guard let first = try? Datagram.bind(at: Self.address("127.0.0.1"), on: loop, onPacket: { _, _ in }) else { return false }
                defer { first.close() }
                return (try? Datagram.bind(at: first.address!, on: loop, onPacket: { _, _ in })) == nil
            }
            #expect(isRefused == true)
        }
    }
}
