// SPDX-License-Identifier: MIT
// The frame of the commands that stay: what becomes of the exit status.
// Runs whole frames on a thread of the test, with states that do nothing.

import PikoCore
import PikoEngine
import Testing

@testable import PikoControl

private final class NothingHere: EndingLoop {
    func drain() {}
    var busyCount: Int { 0 }
    func end() {}
    func cut() {}
    var isEnded: Bool { true }
}

private final class NoControl: EndingControl {
    func end() {}
}

@Suite struct ProcessFrameTests {
    private static func run(
        _ turnstile: Turnstile, log: Log, control: @escaping @Sendable (EventLoop) throws(EngineError) -> NoControl = { _ in NoControl() },
        start: () throws -> Void = {}, reload: () -> Void = {}
    ) -> Int32 {
        let frame = ProcessFrame<NothingHere, NoControl>(
            failed: "command failed", log: log, gracePeriod: { .seconds(1) }, turnstile: turnstile)
        return frame.status {
            let loops = try LoopGroup<NothingHere>(count: 1, name: "test")
            return try frame.serve(on: loops, tls: TLSStore(log: log), control: control) { _ in
                try start()
            } reload: { _ in
                reload()
            } drain: { _ in
                frame.finish(loops)
            }
        }
    }

    @Test("process: a signal ends it with 0")
    func signal() {
        let turnstile = Turnstile()
        let capture = LoggingCapture()
        #expect(Self.run(turnstile, log: Log(sink: capture.sink()), start: { turnstile.signalled() }) == 0)
        #expect(!capture.lines.joined().contains("failed"))
    }

    @Test("process: a control loop that cannot be made is an error")
    func noControl() {
        let capture = LoggingCapture()
        var hasStarted = false
        let status = Self.run(Turnstile(), log: Log(sink: capture.sink()), control: { _ throws(EngineError) in throw .noMemory }, start: { hasStarted = true })
        #expect(status == 1)
        #expect(!hasStarted)
        #expect(capture.lines.joined().contains("command failed"))
        #expect(capture.lines.joined().contains(EngineError.noMemory.description))
    }

    @Test("process: a failure of what was started is an exit with 1")
    func failure() {
        let turnstile = Turnstile()
        #expect(Self.run(turnstile, log: Log(sink: LoggingCapture().sink()), start: { turnstile.fail() }) == 1)
    }

    @Test("process: it reloads for a hangup and goes on")
    func hangup() {
        let turnstile = Turnstile()
        var reloads = 0
        let status = Self.run(
            turnstile, log: Log(sink: LoggingCapture().sink()), start: { turnstile.hungUp() },
            reload: {
                reloads += 1
                if reloads == 2 { turnstile.signalled() } else { turnstile.hungUp() }
            })
        #expect(status == 0)
        #expect(reloads == 2)
    }
}
