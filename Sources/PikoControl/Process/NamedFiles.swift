// SPDX-License-Identifier: MIT
// Whether the files that a configuration names are there and belong together, before anything starts.
// Main thread: reading files may block. Nothing of it is kept.

import PikoCore

/// A look at the files of a configuration. Throws the first mistake, with its key.
public enum TLSCheck {
    public static func run(_ configuration: ServerConfiguration, log: Log) throws(ConfigurationError) {
        _ = try ServerTLS(configuration, TLSStore(log: log, isQuiet: true), log: log)
    }

    public static func run(_ configuration: AgentConfiguration, log: Log) throws(ConfigurationError) {
        _ = try AgentTLS(configuration, TLSStore(log: log, isQuiet: true))
    }

    public static func run(_ configuration: ForwardConfiguration, log: Log) throws(ConfigurationError) {
        _ = try TLSStore(log: log, isQuiet: true).client(configuration.connect.tls, "connect.tls")
    }
}
