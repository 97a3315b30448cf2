// SPDX-License-Identifier: MIT
// The signals of a process, turned into knocks on the main thread's turnstile: SIGTERM and SIGINT end it, SIGHUP has it read its configuration
// again. Lives on the control loop.

import Glibc
import PikoEngine

/// Watches the signals that are meant for a process as a whole.
final class ProcessSignals: EndingControl {
    private var watches: [SignalWatch] = []

    init(on loop: EventLoop, turnstile: Turnstile) throws(EngineError) {
        for number in [SIGTERM, SIGINT] {
            watches.append(try SignalWatch(number, on: loop) { _ in turnstile.signalled() })
        }
        let launcher = Launcher()
        watches.append(
            try SignalWatch(SIGHUP, on: loop) { _ in
                // Who closes the terminal wants an end; so it was before SIGHUP had another meaning.
                if launcher.hasHungUp { turnstile.signalled() } else { turnstile.hungUp() }
            })
    }

    /// From here on the process ends by itself: a signal that comes now is ignored, or its default action would spoil the exit status.
    func end() {
        for watch in watches { watch.cancel() }
        watches = []
        for number in [SIGTERM, SIGINT, SIGHUP] { signal(number, SIG_IGN) }
    }
}
