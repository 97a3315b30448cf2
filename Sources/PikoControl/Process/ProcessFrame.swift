// SPDX-License-Identifier: MIT
// What all commands that stay have in common: a control loop beside the workers, a start, a signal, an orderly end, an exit status. Runs on
// the main thread; what it starts lives on loops. What a command serves is its own matter.

import PikoCore
import PikoEngine

/// A command's part of one worker loop, as its end sees it. Loop-confined.
protocol EndingLoop: AnyObject {
    /// Takes nothing new; what runs goes on.
    func drain()
    /// What still runs.
    var busyCount: Int { get }
    /// Ends everything, what can be ended politely so.
    func end()
    /// Cuts what `end` has not ended.
    func cut()
    /// Nothing is left on the loop but the state itself.
    var isEnded: Bool { get }
}

/// A command's part of the control loop. Loop-confined.
protocol EndingControl: AnyObject {
    func end()
}

/// A command from its start to its exit status. Main thread only.
struct ProcessFrame<Member: EndingLoop, Control: EndingControl> {
    /// The log's line of a start that failed.
    let failed: StaticString
    let log: Log
    /// Asked when it is due: it may change while the process runs.
    let gracePeriod: () -> Duration
    let turnstile: Turnstile

    /// The exit status of `serve`: 1 when it throws, with a line that says why.
    func status(_ serve: () throws -> Int32) -> Int32 {
        do {
            return try serve()
        } catch {
            log.error(failed) { $0.add("error", String(describing: error)) }
            return 1
        }
    }

    /// Starts, blocks until a signal comes or the turnstile has failed, reloading meanwhile, drains, ends.
    /// - Parameters:
    ///   - make: makes the command's part of the control loop, there.
    ///   - start: makes the worker loops' states and what they listen at.
    ///   - reload: reads the configuration again and applies it; for each SIGHUP.
    ///   - tls: whose files are looked after; and read again for each SIGHUP.
    ///   - drain: ends what runs on the worker loops; `finish` where nothing special is due.
    /// - Returns: 0, or 1 when the turnstile has failed.
    /// - Throws: what could not be made or started; all loops have ended then.
    func serve(
        on loops: LoopGroup<Member>, tls: TLSStore, control make: @escaping @Sendable (EventLoop) throws(EngineError) -> Control,
        start: (LoopBound<Control>) throws -> Void, reload: (LoopBound<Control>) -> Void, drain: (LoopBound<Control>) -> Void
    ) throws -> Int32 {
        tls.warn()
        let control = try EventLoop(name: "control")
        try control.start()
        let face = LoopBound<Control>(on: control)
        var failure: (any Error)?
        do {
            try Self.fill(face, make)
            try start(face)
            wait(tls) {
                reload(face)
                tls.refresh(isForced: true)
            }
        } catch {
            failure = error
        }
        drain(face)
        _ = face.sync { $0.end() }
        control.sync { face.value = nil }
        control.stop()
        ShutdownReport.write(loops.end() + [control.join()], to: log)
        if let failure { throw failure }
        return turnstile.hasFailed ? 1 : 0
    }

    /// Until a signal ends the process, or its own failure.
    private func wait(_ tls: TLSStore, reload: () -> Void) {
        var reloads = 0
        while true {
            let isDue = { turnstile.signalCount > 0 || turnstile.hasFailed || turnstile.hangupCount > reloads }
            while !turnstile.wait(atMost: tls.isEmpty ? nil : TLSStore.interval, until: isDue) { tls.refresh() }
            if turnstile.signalCount > 0 || turnstile.hasFailed { return }
            reloads = turnstile.hangupCount
            reload()
        }
    }

    private static func fill(
        _ face: LoopBound<Control>, _ make: @escaping @Sendable (EventLoop) throws(EngineError) -> Control
    ) throws(EngineError) {
        let failure = face.loop.sync { () -> EngineError? in
            do throws(EngineError) {
                face.value = try make(face.loop)
                return nil
            } catch {
                return error
            }
        }
        if let failure = failure ?? EngineError.closed { throw failure }
    }

    /// What runs finishes within the grace period, or until a second signal; then everything ends.
    func finish(_ loops: LoopGroup<Member>) {
        let gracePeriod = gracePeriod()
        log.info("stopping") { $0.add("grace_period", gracePeriod.configured) }
        loops.post { $0.drain() }
        let finished = turnstile.wait(atMost: turnstile.hasFailed ? 0 : gracePeriod.wholeMilliseconds) {
            turnstile.signalCount > 1 || loops.sync { $0.busyCount }.allSatisfy { $0 == 0 }
        }
        if !finished {
            log.warn("grace period is over") { $0.add("cut", loops.sync { $0.busyCount }.reduce(0, +)) }
        }
        end(loops)
    }

    /// Ends what is on the loops, and cuts what does not end by itself.
    func end(_ loops: LoopGroup<Member>) {
        loops.post { $0.end() }
        let isEnded = { loops.sync { $0.isEnded }.allSatisfy { $0 } }
        if turnstile.wait(atMost: 1000, until: isEnded) { return }
        loops.post { $0.cut() }
        // A turn of the loops; long only where the machine stands still.
        _ = turnstile.wait(atMost: 10_000, until: isEnded)
    }
}
