// SPDX-License-Identifier: MIT
// SIGTERM and SIGINT, turned into knocks on the main thread's turnstile.
// Lives on the control loop.

import Glibc
import PikoEngine

/// Watches the signals that ask a process to end.
final class StopSignals: EndingControl {
    private static let numbers = [SIGTERM, SIGINT]
    private var watches: [SignalWatch] = []

    init(on loop: EventLoop, turnstile: Turnstile) throws(EngineError) {
        for number in Self.numbers {
            watches.append(try SignalWatch(number, on: loop) { _ in turnstile.signalled() })
        }
    }

    /// From here on the process ends by itself: a signal that comes now is ignored, or its default action would spoil the exit status.
    func end() {
        for watch in watches { watch.cancel() }
        watches = []
        for number in Self.numbers { signal(number, SIG_IGN) }
    }
}
