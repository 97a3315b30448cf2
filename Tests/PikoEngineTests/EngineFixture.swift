// SPDX-License-Identifier: MIT
// What engine tests stand on: a loop that must end with all counters zero, a scripted connection handler, and waiting with a limit.
// Tests run on their own threads and talk to loops by mail only.

import Dispatch
import PikoEngine
import Testing

/// Waits on the test's thread for something on a loop; false after ten seconds.
final class Signal: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)
    func fire() { semaphore.signal() }
    func wait(_ count: Int = 1) -> Bool {
        (0..<count).allSatisfy { _ in semaphore.wait(timeout: .now() + 10) == .success }
    }
}

/// Runs `body` with fresh loops; afterwards nothing may be left on them.
func withLoops(_ count: Int = 1, _ body: ([EventLoop]) throws -> Void) throws {
    let loops = try (0..<count).map { try EventLoop(name: "test-\($0)") }
    for loop in loops { try loop.start() }
    defer {
        for loop in loops { loop.stop() }
        for loop in loops { #expect(loop.join() == EngineCounts(), "something is left on \(loop.name)") }
    }
    try body(loops)
}

/// A handler made of closures, so that a test reads from top to bottom. Of one connection. Loop-confined.
final class Script: ConnectionHandler {
    var onOpen: (Connection) -> Void = { _ in }
    var onRead: (Connection, UnsafeRawBufferPointer) -> Int = { $1.count }
    var onEnd: (Connection) -> Void = { $0.close() }
    var onClose: (EngineError?) -> Void = { _ in }

    /// Takes what comes as text.
    static func collecting(_ seen: Seen) -> Script {
        let script = Script()
        script.onRead = { seen.text += text($1); return $1.count }
        return script
    }

    /// Says something when the peer has said all, and closes.
    func answersAtEnd(_ answer: String) {
        onEnd = {
            $0.write(answer)
            $0.close()
        }
    }

    func connectionDidOpen(_ connection: Connection) { onOpen(connection) }
    func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int { onRead(connection, bytes) }
    func connectionDidEnd(_ connection: Connection) { onEnd(connection) }

    /// The closures go with their last call: a test's closures hold what holds the script.
    func connectionDidClose(_ connection: Connection, error: EngineError?) {
        let last = onClose
        onOpen = { _ in }
        onRead = { $1.count }
        onEnd = { _ in }
        onClose = { _ in }
        last(error)
    }
}

/// What a test wants to see afterwards, written on a loop and read once the loop has said so.
final class Seen: @unchecked Sendable {
    var text = ""
    var errors: [EngineError?] = []
    var numbers: [Int] = []
}

/// Two ends of one TCP connection on one loop.
struct Pair {
    let client: Connection
    let server: Connection

    /// Makes a pair and runs `body` with it on the loop, both ends open, reading off.
    static func make(on loop: EventLoop, client: Script, server: Script, _ body: @escaping (Pair) -> Void) throws {
        var dialled: Connection?
        var accepted: Connection?
        var listener: Listener?
        func join() {
            guard let first = dialled, let second = accepted else { return }
            listener?.close()
            listener = nil
            body(Pair(client: first, server: second))
        }
        listener = try Listener.listen(at: SocketAddress(host: "127.0.0.1", port: 0)!, on: loop) {
            $0.handler = server
            accepted = $0
            join()
        }
        let wasOpen = client.onOpen
        client.onOpen = {
            wasOpen($0)
            dialled = $0
            join()
        }
        _ = try Connection.dial(listener!.address!, timeout: 5000, on: loop, handler: client)
    }
}

func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }
