// SPDX-License-Identifier: MIT
// Who started this process, and whether he has gone: his process, or the terminal they shared. Any thread.
// SIGHUP alone does not say so: it also asks for the configuration to be read again.

import Glibc

/// Whoever started this process.
struct Launcher: Sendable {
    private let parent = getppid()
    private let hadTerminal = Launcher.hasTerminal
    /// Started with SIGHUP ignored, as nohup does: it is to outlive him.
    private let isLeftAlone: Bool

    /// Look before SIGHUP is given another meaning.
    init() {
        var action = sigaction()
        sigaction(SIGHUP, nil, &action)
        isLeftAlone = unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    /// The process that started this one has ended, or their terminal has hung up.
    var hasGone: Bool { !isLeftAlone && getppid() != parent || hasHungUp }

    /// Their terminal is there no more.
    var hasHungUp: Bool { !isLeftAlone && hadTerminal && !Self.hasTerminal }

    /// Of this process's session; one that has hung up is none.
    private static var hasTerminal: Bool {
        let descriptor = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC)
        if descriptor >= 0 { close(descriptor) }
        return descriptor >= 0
    }
}
