// SPDX-License-Identifier: MIT
// What is logged: the level, the subsystems that log everything, and the access log of a proxy or listener.
// Plain values with the documented defaults.

/// `log.*`.
public struct LogConfiguration: Equatable, Sendable {
    /// `log.level`: lines below it are not written.
    public var level: LogLevel = .info
    /// `log.subsystems`: these log from `debug` on, whatever `level` says. Matched exactly.
    public var subsystems: [String] = []

    public init() {}
}

/// `…access_log.*`.
public struct AccessLogConfiguration: Equatable, Sendable {
    /// The level of an access log line. A status of 500 and above is logged as `warn` at least.
    public var level: LogLevel = .info
    public var disable = false
    public var requestHeaders = HeaderFilterConfiguration()
    public var responseHeaders = HeaderFilterConfiguration()

    public init() {}
}

/// Which header fields an access log line shows. At most one of the lists has values.
public struct HeaderFilterConfiguration: Equatable, Sendable {
    /// When not empty, only these are shown. Names compare case-insensitively.
    public var allowList: [String] = []
    /// These are not shown.
    public var blockList: [String] = []

    public init() {}
}
