// SPDX-License-Identifier: MIT
// The severities of a log line, lowest first.
// A plain value, usable on any thread.

/// Severity of a log line. The raw value orders them; `name` is what the configuration and the log line say.
public enum LogLevel: UInt8, Comparable, CaseIterable, Sendable {
    case debug, info, warn, error

    public var name: String {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .warn: "warn"
        case .error: "error"
        }
    }

    /// nil for anything but the four names, which are lower case.
    public init?(name: some StringProtocol) {
        guard let level = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = level
    }

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}
