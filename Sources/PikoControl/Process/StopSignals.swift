// SPDX-License-Identifier: MIT
// SIGTERM and SIGINT, turned into knocks on the main thread's turnstile.
// Lives on the control loop.

import Glibc
import PikoEngine

/// Watches the signals that ask a process to end.
final class StopSignals {
    private var watches: [SignalWatch] = []

    init(on loop: EventLoop, turnstile: Turnstile) throws(EngineError) {
        for number in [SIGTERM, SIGINT] {
            watches.append(try SignalWatch(number, on: loop) { _ in turnstile.signalled() })
        }
    }

    func cancel() {
        for watch in watches { watch.cancel() }
        watches = []
    }
}
