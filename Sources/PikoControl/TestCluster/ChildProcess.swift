// SPDX-License-Identifier: MIT
// Processes of this same program, started and collected by `piko test cluster`. Control loop only.
// A child is in a process group of its own, so that Ctrl-C reaches the parent alone, and ends when it sees that its parent is gone (ParentWatch).

import FoundationEssentials
import Glibc
import PikoEngine

/// One running child. Whoever starts it collects it.
struct ChildProcess {
    let id: pid_t

    /// Of the environment of a child: the process whose end is its own.
    static let parentVariable = "PIKO_PARENT"

    /// Runs this program with these arguments. Its standard error is ours.
    static func start(_ arguments: [String]) throws(EngineError) -> ChildProcess {
        var environment = ProcessInfo.processInfo.environment
        environment[parentVariable] = String(getpid())
        var id: pid_t = 0
        let status = withStrings(["piko"] + arguments) { words in
            withStrings(environment.map { "\($0)=\($1)" }) { variables in
                withAttributes { posix_spawn(&id, "/proc/self/exe", nil, $0, words, variables) }
            }
        }
        if status != 0 { throw EngineError(code: -status) }
        return ChildProcess(id: id)
    }

    func signal(_ number: Int32) { kill(id, number) }

    /// It has ended, and somebody else knows how.
    static let unknownStatus: Int32 = -1

    /// How it ended: an exit status, or 128 and the signal's number as shells say it. nil while it runs.
    func collect(waiting: Bool = false) -> Int32? {
        var status: Int32 = 0
        var ended = waitpid(id, &status, waiting ? 0 : WNOHANG)
        while ended < 0, errno == EINTR { ended = waitpid(id, &status, waiting ? 0 : WNOHANG) }
        if ended < 0 { return Self.unknownStatus }
        guard ended == id else { return nil }
        let signal = status & 0x7F
        return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
    }

    private typealias Strings = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

    private static func withStrings(_ texts: [String], _ body: (Strings) -> Int32) -> Int32 {
        var pointers = texts.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return pointers.withUnsafeMutableBufferPointer { body($0.baseAddress!) }
    }

    /// Signals are as in a fresh process: a loop's thread has its own ideas of them.
    private static func withAttributes(_ body: (UnsafePointer<posix_spawnattr_t>) -> Int32) -> Int32 {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
        return body(&attributes)
    }
}
