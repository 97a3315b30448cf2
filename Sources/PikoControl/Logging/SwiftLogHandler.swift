// SPDX-License-Identifier: MIT
// Lets code written against swift-log write to our sink, in our format: the label is the subsystem, metadata are fields.
// For the cold path only: swift-log builds strings and dictionaries. Any thread.

import Logging
import PikoCore

/// A swift-log backend: `LoggingSystem.bootstrap { SwiftLogHandler(label: $0, sink: sink) }`.
public struct SwiftLogHandler: LogHandler {
    public var metadata: Logger.Metadata = [:]
    private let log: Log
    private let threshold: LogThreshold
    /// Given by the program, instead of the configuration's.
    private var ownLevel: Logger.Level?

    public init(label: String, sink: LogSink) {
        log = Log(sink: sink, subsystem: label)
        threshold = sink.threshold(of: label)
    }

    public var logLevel: Logger.Level {
        get { ownLevel ?? (threshold.admits(.debug) ? .trace : Self.level(of: threshold.lowest)) }
        set { ownLevel = newValue }
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
