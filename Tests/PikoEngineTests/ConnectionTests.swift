// SPDX-License-Identifier: MIT
// TCP connections: bytes, kept bytes, half close, abort, refusal, moving between loops.
// Real sockets on loopback; scripts run on the loops' threads.

import Glibc
import PikoEngine
import Testing

@Suite struct ConnectionTests {
    @Test("connection: bytes cross, a half close is seen, the other direction goes on")
    func halfClose() throws {
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let client = Script()
                let server = Script()
                server.onRead = { seen.text += text($1); return $1.count }
                server.onEnd = {
                    $0.write("pong")
                    $0.close()
                }
                client.onRead = { seen.text += text($1); return $1.count }
                client.onClose = { seen.errors.append($0); done.fire() }
                server.onClose = { seen.errors.append($0); done.fire() }
                try! Pair.make(on: loops[0], client: client, server: server) {
                    $0.client.startReading()
                    $0.server.startReading()
                    $0.client.write("ping")
                    $0.client.shut()
                }
            }
            #expect(done.wait(2))
            #expect(seen.text == "pingpong")
            #expect(seen.errors == [nil, nil])
        }
    }

    @Test("connection: what is not taken is kept and offered again in one piece")
    func kept() throws {
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let client = Script()
                let server = Script()
                server.onRead = { _, bytes in
                    guard bytes.count >= 6 else {
                        seen.numbers.append(bytes.count)
                        return 0
                    }
                    seen.text = text(bytes)
                    return bytes.count
                }
                client.onClose = { _ in done.fire() }
                server.onClose = { _ in done.fire() }
                try! Pair.make(on: loops[0], client: client, server: server) { pair in
                    pair.client.startReading()
                    pair.server.startReading()
                    pair.client.write("abc")
                    let later = Box<Timer>()
                    later.value = Timer(on: loops[0]) {
                        guard pair.server.keptCount == 3 else { later.value?.arm(1); return }
                        seen.numbers.append(pair.server.keptCount)
                        pair.client.write("def")
                        pair.client.shut()
                        later.value = nil
                    }
                    later.value?.arm(1)
                }
            }
            #expect(done.wait(2))
            #expect(seen.text == "abcdef")
            #expect(seen.numbers == [3, 3])
        }
    }

    @Test("abort: the peer hears of a reset, this side of its own abort")
    func abort() throws {
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let client = Script()
                let server = Script()
                client.onClose = { error in
                    seen.numbers.append(error == .aborted ? 1 : 0)
                    done.fire()
                }
                server.onClose = { error in
                    seen.errors.append(error)
                    done.fire()
                }
                try! Pair.make(on: loops[0], client: client, server: server) {
                    $0.server.startReading()
                    $0.client.abort()
                }
            }
            #expect(done.wait(2))
            #expect(seen.numbers == [1])
            #expect(seen.errors.count == 1 && seen.errors[0] != nil)
        }
    }

    @Test("dial: a port where nobody listens is an error, not an exit")
    func refused() throws {
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let script = Script()
                script.onClose = { seen.errors.append($0); done.fire() }
                let listener = try! Listener.listen(at: SocketAddress(host: "127.0.0.1", port: 0)!, on: loops[0]) { $0.abort() }
                let address = listener.address!
                listener.close {
                    _ = try! Connection.dial(address, timeout: 1000, on: loops[0], handler: script)
                }
            }
            #expect(done.wait())
            #expect(seen.errors.count == 1 && seen.errors[0] != nil)
        }
    }

    @Test("listener: connections that wait at its end are handed over, not reset")
    func lastConnections() throws {
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let listener = try! Listener.listen(at: SocketAddress(host: "127.0.0.1", port: 0)!, on: loops[0]) {
                    let server = Script()
                    server.onRead = { seen.text += text($1); return $1.count }
                    server.onClose = { seen.errors.append($0); done.fire() }
                    seen.numbers.append(1)
                    $0.handler = server
                    $0.startReading()
                }
                // The system accepts while this loop's thread is here.
                let clients = (0..<3).map { _ in waitingClient(of: listener.address!.port) }
                listener.close()
                for client in clients {
                    send(client, "a", 1, 0)
                    close(client)
                }
            }
            #expect(done.wait(3))
            #expect(seen.numbers == [1, 1, 1])
            #expect(seen.text == "aaa" && seen.errors == [nil, nil, nil])
        }
    }

    @Test("connection: one let go behind its close is ended at once, and its peer gets all of it")
    func letGo() throws {
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let client = Script()
                let server = Script()
                let reader = Box<Connection>()
                client.onRead = { seen.text += text($1); return $1.count }
                client.onClose = { seen.errors.append($0); done.fire() }
                server.onClose = {
                    seen.numbers.append(seen.text.count)
                    seen.errors.append($0)
                    done.fire()
                    reader.value?.startReading()
                    reader.value = nil
                }
                try! Pair.make(on: loops[0], client: client, server: server) {
                    reader.value = $0.client
                    $0.server.write(String(repeating: "x", count: 30_000))
                    $0.server.close()
                    $0.server.letGo()
                }
            }
            #expect(done.wait(2))
            #expect(seen.numbers == [0])  // nobody had read when it was gone
            #expect(seen.text.count == 30_000 && seen.errors == [nil, nil])
        }
    }

    @Test("dialer: resolves a name and tries its addresses")
    func names() throws {
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let server = Script()
                let listener = try! Listener.listen(at: SocketAddress(host: "127.0.0.1", port: 0)!, on: loops[0]) {
                    $0.handler = server
                    $0.startReading()
                }
                server.onClose = { _ in
                    listener.close()
                    done.fire()
                }
                Dialer.dial(host: "localhost", port: listener.address!.port, timeout: 5000, on: loops[0]) {
                    let script = Script()
                    script.onClose = { _ in done.fire() }
                    guard case .success(let connection) = $0 else { return done.fire() }
                    seen.numbers.append(1)
                    connection.handler = script
                    connection.close()
                }
            }
            #expect(done.wait(2))
            #expect(seen.numbers == [1])
        }
    }

    @Test("detach: a connection moves to another loop with its unread bytes, and goes on there")
    func move() throws {
        try withLoops(2) { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let client = Script()
                let server = Script()
                client.onRead = { seen.text += text($1); return $1.count }
                client.onClose = { _ in done.fire() }
                server.onClose = { _ in seen.numbers.append(1) }
                server.onRead = { connection, bytes in
                    let moving = try! connection.detach(extra: bytes)
                    loops[1].post {
                        let landed = Script()
                        landed.onRead = { connection, bytes in
                            connection.write("moved " + text(bytes))
                            connection.close()
                            return bytes.count
                        }
                        landed.onClose = { _ in done.fire() }
                        try! moving.land(on: loops[1], handler: landed).startReading()
                    }
                    return bytes.count
                }
                try! Pair.make(on: loops[0], client: client, server: server) {
                    $0.client.startReading()
                    $0.server.startReading()
                    $0.client.write("hello")
                }
            }
            #expect(done.wait(2))
            #expect(seen.text == "moved hello")
            #expect(loops[0].sync { seen.numbers } == [1])
        }
    }
}

/// A blocking socket that the system has connected to the port, whether or not anybody has accepted it.
private func waitingClient(of port: UInt16) -> Int32 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let connected = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    precondition(connected == 0, "loopback connects")
    return descriptor
}

/// Holds something that a closure needs and that is made after it.
final class Box<Value> {
    var value: Value?
}
