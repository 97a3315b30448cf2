// SPDX-License-Identifier: MIT
// Where log lines go: one write for each line, in order, from any thread. It never makes a caller wait for whoever reads the
// log: a line that cannot be written at once is dropped and counted, and the next line that gets through says how many.
// Lines that a peer can cause at will are bounded to so many a second.

import PikoCore
import Synchronization

/// The end of all logs of a process. Any thread.
public final class LogSink: Sendable {
    /// Writes one whole line; false when it could not be taken now.
    public typealias Output = @Sendable (UnsafeRawBufferPointer) -> Bool

    /// The longest line, newline included: what a pipe takes whole or not at all.
    public static let lineLimit = 4096
    /// Lines a second that peers may cause, and how many at once.
    static let peerRate: UInt64 = 100
    static let peerBurst: UInt64 = 200

    private let thresholds: Mutex<LogThresholds>
    private let output: Output
    private let state = Mutex(State())

    private struct State {
        var unreported: UInt64 = 0
        var dropped: UInt64 = 0
        var allowance = PeerAllowance(rate: LogSink.peerRate, burst: LogSink.peerBurst)

        mutating func count() {
            unreported &+= 1
            dropped &+= 1
        }
    }

    /// To standard error.
    public convenience init(configuration: LogConfiguration) {
        let descriptor = LogDescriptor(2)
        self.init(configuration: configuration) { descriptor.write($0) }
    }

    /// To `output`, which is called under a lock: one line at a time.
    public init(configuration: LogConfiguration, output: @escaping Output) {
        thresholds = Mutex(LogThresholds(configuration))
        self.output = output
    }

    /// From now on every logger of this sink logs what this says.
    func configure(_ configuration: LogConfiguration) { thresholds.withLock { $0.configure(configuration) } }

    func threshold(of subsystem: String) -> LogThreshold { thresholds.withLock { $0.threshold(of: subsystem) } }

    /// Lines that were dropped so far.
    public var dropped: UInt64 { state.withLock { $0.dropped } }

    /// Whether a peer may cause a line now. Counts as dropped when not.
    func admitsPeerLine(at seconds: Int64) -> Bool {
        state.withLock { state in
            if state.allowance.take(at: seconds) { return true }
            state.count()
            return false
        }
    }

    /// Writes one whole line with its newline, or drops it.
    func write(_ line: UnsafeRawBufferPointer) {
        state.withLock { state in
            guard state.unreported == 0 || report(state.unreported) else { return state.count() }
            state.unreported = 0
            if !output(line) { state.count() }
        }
    }

    private func report(_ dropped: UInt64) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 512, alignment: 1) { memory in
            var line = LogLine(memory: memory)
            line.begin(level: .warn, time: .now(), subsystem: "log", message: "log lines dropped")
            line.add("dropped", dropped)
            line.end()
            return output(UnsafeRawBufferPointer(rebasing: memory[..<line.count]))
        }
    }
}

/// So many a second, and so many at once after a rest. Pure: the caller says the time.
struct PeerAllowance {
    let rate: UInt64
    let burst: UInt64
    private var left: UInt64
    private var last: Int64 = 0

    init(rate: UInt64, burst: UInt64) {
        self.rate = rate
        self.burst = burst
        left = burst
    }

    /// Takes one where there is one. A clock that goes back gives nothing and takes nothing away.
    mutating func take(at seconds: Int64) -> Bool {
        if seconds != last {
            let passed = UInt64(clamping: seconds.subtractingReportingOverflow(last).partialValue)
            left = min(burst, left + min(passed, burst) * rate)
            last = seconds
        }
        guard left > 0 else { return false }
        left -= 1
        return true
    }
}
