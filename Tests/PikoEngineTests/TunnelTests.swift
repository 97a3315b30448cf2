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

    @Test("websocket: an empty message ends one direction, the other goes on")
    func webSocketHalfClose() throws {
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                try! Pair.make(on: loops[0], client: Script(), server: Script()) { pair in
                    let client = try! pair.client.upgradeToWebSocket(client: true, halfClose: true)
                    let server = try! pair.server.upgradeToWebSocket(client: false, halfClose: true)
                    let (near, far) = (Script(), Script())
                    near.onRead = { seen.text += text($1); return $1.count }
                    near.onClose = { seen.errors.append($0); done.fire() }
                    far.onRead = { seen.text += text($1); return $1.count }
                    far.onEnd = {
                        $0.write("pong")
                        $0.close()
                    }
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
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let ends = Ends(done: done)
                let (near, far) = (Script(), Script())
                far.onRead = { seen.text += text($1); return $1.count }
                far.onEnd = {
                    $0.write("pong")
                    $0.close()
                }
                far.onClose = { _ in done.fire() }
                near.onOpen = { _ in seen.numbers.append(1) }
                near.onRead = { seen.text += text($1); return $1.count }
                near.onClose = { error in
                    seen.errors.append(error)
                    done.fire()
                    ends.sessions[1].close()
                }
                ends.onStream = {
                    $0.handler = far
                    $0.startReading()
                }
                ends.start(on: loops[0]) { session in
                    let stream = try! session.open(handler: near)
                    stream.startReading()
                    stream.write("ping")
                    stream.shut()
                }
            }
            #expect(done.wait(4))
            #expect(seen.text == "pingpong")
            #expect(seen.numbers == [1])
            #expect(seen.errors == [nil])
        }
    }

    @Test("session: a stream that nobody takes is refused")
    func refusal() throws {
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let ends = Ends(done: done)
                let near = Script()
                near.onClose = { error in
                    seen.errors.append(error)
                    done.fire()
                    ends.sessions[1].close()
                }
                ends.start(on: loops[0]) { _ = try! $0.open(handler: near) }
            }
            #expect(done.wait(3))
            #expect(seen.errors == [.refused])
        }
    }

    @Test("session: after a go away the server opens no stream, those open go on")
    func goAway() throws {
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let ends = Ends(done: done)
                let (near, far) = (Script(), Script())
                far.onRead = { connection, bytes in
                    ends.sessions[0].goAway()
                    connection.write("late")
                    connection.close()
                    return bytes.count
                }
                far.onClose = { _ in done.fire() }
                ends.onGoAway = { session in
                    guard seen.errors.isEmpty else { return }  // the end of the session says it again
                    do { _ = try session.open(handler: Script()) } catch { seen.errors.append(error as? EngineError) }
                }
                near.onRead = { seen.text += text($1); return $1.count }
                near.onClose = { _ in
                    done.fire()
                    ends.sessions[1].close()
                }
                ends.onStream = {
                    $0.handler = far
                    $0.startReading()
                }
                ends.start(on: loops[0]) { session in
                    let stream = try! session.open(handler: near)
                    stream.startReading()
                    stream.write("x")
                }
            }
            #expect(done.wait(4))
            #expect(seen.text == "late")
            #expect(seen.errors == [.goingAway])
        }
    }

    @Test("session lost: its streams break, each exactly once")
    func lost() throws {
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let ends = Ends(done: done)
                let scripts = (0..<10).map { _ in Script() }
                for script in scripts { script.onClose = { seen.errors.append($0); done.fire() } }
                ends.start(on: loops[0]) { session in
                    for script in scripts { _ = try! session.open(handler: script) }
                    session.abort()
                }
            }
            #expect(done.wait(12))
            #expect(seen.errors.count == 10)
            #expect(seen.errors.allSatisfy { $0 != nil })
        }
    }
}
