// SPDX-License-Identifier: MIT
// The level from which on a subsystem logs, shared by all its loggers, and changed while they are in use.
// Any thread.

import PikoCore
import Synchronization

/// One subsystem's level.
final class LogThreshold: Sendable {
    private let level: Atomic<UInt8>

    init(_ level: LogLevel) { self.level = Atomic(level.rawValue) }

    func admits(_ level: LogLevel) -> Bool { level.rawValue >= self.level.load(ordering: .relaxed) }

    func set(_ level: LogLevel) { self.level.store(level.rawValue, ordering: .relaxed) }

    /// The lowest level that is admitted.
    var lowest: LogLevel { LogLevel(rawValue: level.load(ordering: .relaxed)) ?? .debug }
}

/// The thresholds of a process. Subsystems are few and known, so none is ever forgotten.
struct LogThresholds {
    private var configuration: LogConfiguration
    private var bySubsystem: [String: LogThreshold] = [:]

    init(_ configuration: LogConfiguration) { self.configuration = configuration }

    mutating func threshold(of subsystem: String) -> LogThreshold {
        if let known = bySubsystem[subsystem] { return known }
        let threshold = LogThreshold(level(of: subsystem))
        bySubsystem[subsystem] = threshold
        return threshold
    }

    mutating func configure(_ configuration: LogConfiguration) {
        self.configuration = configuration
        for (subsystem, threshold) in bySubsystem { threshold.set(level(of: subsystem)) }
    }

    private func level(of subsystem: String) -> LogLevel {
        configuration.subsystems.contains(subsystem) ? .debug : configuration.level
    }
}
