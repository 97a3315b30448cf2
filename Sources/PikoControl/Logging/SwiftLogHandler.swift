// SPDX-License-Identifier: MIT
// Lets code written against swift-log write to our sink, in our format: the label is the subsystem, metadata are fields.
// For the cold path only: swift-log builds strings and dictionaries. Any thread.

import Logging
import PikoCore

/// A swift-log backend: `LoggingSystem.bootstrap { SwiftLogHandler(label: $0, sink: sink) }`.
public struct SwiftLogHandler: LogHandler {
    public var metadata: Logger.Metadata = [:]
    public var logLevel: Logger.Level
    private let log: Log

    public init(label: String, sink: LogSink) {
        log = Log(sink: sink, subsystem: label)
        logLevel = log.isEnabled(.debug) ? .trace : Self.level(of: sink.configuration.level)
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        var text = event.message.description
        text.withUTF8 { bytes in
            log.write(Self.level(of: event.level), UnsafeRawBufferPointer(bytes)) { line in
                for (key, value) in all.sorted(by: { $0.key < $1.key }) { line.add(key: key, value.description) }
                if let error = event.error { line.add("error", String(describing: error)) }
            }
        }
    }

    private static func level(of level: Logger.Level) -> LogLevel {
        switch level {
        case .trace, .debug: .debug
        case .info, .notice: .info
        case .warning: .warn
        case .error, .critical: .error
        }
    }

    private static func level(of level: LogLevel) -> Logger.Level {
        switch level {
        case .debug: .debug
        case .info: .info
        case .warn: .warning
        case .error: .error
        }
    }
}
