// SPDX-License-Identifier: MIT
// WebSockets and sessions on a real TCP connection, both ends ours.
// Real sockets on loopback; scripts run on the loops' threads.

import PikoEngine
import Testing

@Suite struct TunnelTests {
    /// The two ends of a session; streams that the server opens are announced to the agent's script.
    private final class Ends: TunnelSessionHandler {
        var sessions: [TunnelSession] = []
        var onStream: (Connection) -> Void = { _ in }
        var onGoAway: (TunnelSession) -> Void = { _ in }
        let done: Signal
        init(done: Signal) { self.done = done }

        /// What the agent does with streams.
        func serve(by script: Script) {
            onStream = {
                $0.handler = script
                $0.startReading()
            }
        }

        /// The stream under test has closed: so does the session.
        func isOver(_ error: EngineError?, _ seen: Seen) {
            seen.errors.append(error)
            done.fire()
            sessions[1].close()
        }

        func session(_ session: TunnelSession, didAccept stream: Connection) { onStream(stream) }
        func sessionIsGoingAway(_ session: TunnelSession, code: UInt32) { onGoAway(session) }
        func sessionDidClose(_ session: TunnelSession, error: EngineError?) { done.fire() }

        /// Makes both ends; `body` gets the server's session.
        func start(on loop: EventLoop, _ body: @escaping (TunnelSession) -> Void) {
            try! Pair.make(on: loop, client: Script(), server: Script()) { [self] pair in
                let agent = try! pair.client.upgradeToWebSocket(client: true, halfClose: false)
                let server = try! pair.server.upgradeToWebSocket(client: false, halfClose: false)
                sessions.append(try! TunnelSession.start(on: agent, settings: TunnelSettings(isClient: true), handler: self))
                sessions.append(try! TunnelSession.start(on: server, settings: TunnelSettings(isClient: false), handler: self))
                body(sessions[1])
            }
        }
    }

    /// Runs `script` on a loop with a session to come, and `check` once so many things have fired: the ends of both sessions are two of them.
    private func withSession(
        _ events: Int, _ script: @escaping @Sendable (Ends, EventLoop, Seen) -> Void, check: (Seen) -> Void
    ) throws {
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post { script(Ends(done: done), loops[0], seen) }
            #expect(done.wait(events))
            check(seen)
        }
    }

    @Test("websocket: an empty message ends one direction, the other goes on")
    func webSocketHalfClose() throws {
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                try! Pair.make(on: loops[0], client: Script(), server: Script()) { pair in
                    let client = try! pair.client.upgradeToWebSocket(client: true, halfClose: true)
                    let server = try! pair.server.upgradeToWebSocket(client: false, halfClose: true)
                    let (near, far) = (Script.collecting(seen), Script.collecting(seen))
                    near.onClose = { seen.errors.append($0); done.fire() }
                    far.answersAtEnd("pong")
                    far.onClose = { seen.errors.append($0); done.fire() }
                    (client.handler, server.handler) = (near, far)
                    client.startReading()
                    server.startReading()
                    client.write("ping")
                    client.shut()
                }
            }
            #expect(done.wait(2))
            #expect(seen.text == "pingpong")
            #expect(seen.errors == [nil, nil])
        }
    }

    @Test("session: a stream carries bytes both ways and half closes")
    func stream() throws {
        try withSession(4) { ends, loop, seen in
            let (near, far) = (Script.collecting(seen), Script.collecting(seen))
            far.answersAtEnd("pong")
            far.onClose = { _ in ends.done.fire() }
            near.onOpen = { _ in seen.numbers.append(1) }
            near.onClose = { ends.isOver($0, seen) }
            ends.serve(by: far)
            ends.start(on: loop) { session in
                let stream = try! session.open(handler: near)
                stream.startReading()
                stream.write("ping")
                stream.shut()
            }
        } check: { seen in
            #expect(seen.text == "pingpong")
            #expect(seen.numbers == [1])
            #expect(seen.errors == [nil])
        }
    }

    @Test("session: a stream that nobody takes is refused")
    func refusal() throws {
        try withSession(3) { ends, loop, seen in
            let near = Script()
            near.onClose = { ends.isOver($0, seen) }
            ends.start(on: loop) { _ = try! $0.open(handler: near) }
        } check: { seen in
            #expect(seen.errors == [.refused])
        }
    }

    @Test("session: after a go away the server opens no stream, those open go on")
    func goAway() throws {
        try withSession(4) { ends, loop, seen in
            let (near, far) = (Script.collecting(seen), Script())
            far.onRead = { connection, bytes in
                ends.sessions[0].goAway()
                connection.write("late")
                connection.close()
                return bytes.count
            }
            far.onClose = { _ in ends.done.fire() }
            ends.onGoAway = { session in
                guard seen.errors.isEmpty else { return }  // the end of the session says it again
                do { _ = try session.open(handler: Script()) } catch { seen.errors.append(error as? EngineError) }
            }
            near.onClose = { _ in
                ends.done.fire()
                ends.sessions[1].close()
            }
            ends.serve(by: far)
            ends.start(on: loop) { session in
                let stream = try! session.open(handler: near)
                stream.startReading()
                stream.write("x")
            }
        } check: { seen in
            #expect(seen.text == "late")
            #expect(seen.errors == [.goingAway])
        }
    }

    @Test("session lost: its streams break, each exactly once")
    func lost() throws {
        try withSession(12) { ends, loop, seen in
            let scripts = (0..<10).map { _ in Script() }
            for script in scripts { script.onClose = { seen.errors.append($0); ends.done.fire() } }
            ends.start(on: loop) { session in
                for script in scripts { _ = try! session.open(handler: script) }
                session.abort()
            }
        } check: { seen in
            #expect(seen.errors.count == 10)
            #expect(seen.errors.allSatisfy { $0 != nil })
        }
    }
}
