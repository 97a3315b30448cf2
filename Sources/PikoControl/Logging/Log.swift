// SPDX-License-Identifier: MIT
// The logger that our own code holds: a subsystem and its level. A line below the level costs a comparison; a line above it is
// built in place without an allocation for its fields. Any thread.

import PikoCore

/// A logger of one subsystem. Small; copy it freely.
///
///     log.info("listening") { $0.add("addr", address) }
public struct Log: Sendable {
    public let subsystem: String
    let sink: LogSink
    private let threshold: LogThreshold

    public init(sink: LogSink, subsystem: String = "main") {
        self.sink = sink
        self.subsystem = subsystem
        threshold = sink.threshold(of: subsystem)
    }

    /// The logger of another subsystem, to the same end.
    public func named(_ subsystem: String) -> Log { Log(sink: sink, subsystem: subsystem) }

    /// Lines of the whole process that were dropped so far: nobody took them, or a peer caused too many.
    public var dropped: UInt64 { sink.dropped }

    public func isEnabled(_ level: LogLevel) -> Bool { threshold.admits(level) }

    /// From now on all logs of the process log what this says.
    public func configure(_ configuration: LogConfiguration) { sink.configure(configuration) }

    public func debug(_ message: StaticString, _ fields: (inout LogLine) -> Void = { _ in }) {
        write(.debug, message, fields)
    }

    public func info(_ message: StaticString, _ fields: (inout LogLine) -> Void = { _ in }) {
        write(.info, message, fields)
    }

    public func warn(_ message: StaticString, _ fields: (inout LogLine) -> Void = { _ in }) {
        write(.warn, message, fields)
    }

    public func error(_ message: StaticString, _ fields: (inout LogLine) -> Void = { _ in }) {
        write(.error, message, fields)
    }

    /// A line that a peer can cause as often as it likes: bounded to so many a second for the process; the rest is counted.
    public func peer(_ level: LogLevel, _ message: StaticString, _ fields: (inout LogLine) -> Void = { _ in }) {
        guard isEnabled(level), sink.admitsPeerLine(at: LogTime.now().seconds) else { return }
        write(level, message, fields)
    }

    public func write(_ level: LogLevel, _ message: StaticString, _ fields: (inout LogLine) -> Void = { _ in }) {
        guard isEnabled(level) else { return }
        write(level, UnsafeRawBufferPointer(start: message.utf8Start, count: message.utf8CodeUnitCount), fields)
    }

    /// Without looking at the level.
    func write(_ level: LogLevel, _ message: UnsafeRawBufferPointer, _ fields: (inout LogLine) -> Void) {
        withUnsafeTemporaryAllocation(byteCount: LogSink.lineLimit, alignment: 1) { memory in
            var line = LogLine(memory: memory)
            line.begin(level: level, time: .now(), subsystem: subsystem, message: message)
            fields(&line)
            line.end()
            sink.write(UnsafeRawBufferPointer(rebasing: memory[..<line.count]))
        }
    }
}

extension LogLevel {
    var staticName: StaticString {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .warn: "warn"
        case .error: "error"
        }
    }
}

extension LogLine {
    mutating func begin(level: LogLevel, time: LogTime, subsystem: String, message: StaticString) {
        let bytes = UnsafeRawBufferPointer(start: message.utf8Start, count: message.utf8CodeUnitCount)
        begin(level: level, time: time, subsystem: subsystem, message: bytes)
    }
}
