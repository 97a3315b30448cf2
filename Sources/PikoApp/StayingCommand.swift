// SPDX-License-Identifier: MIT
// The configuration of a command that stays: read now, and again at each SIGHUP; or only checked.
// Main thread.

import PikoControl
import PikoCore

enum StayingCommand {
    /// Reads the configuration and says how it is read again. `--config.check` ends the command here.
    /// - Parameters:
    ///   - logging: where the configuration says what is logged.
    ///   - check: looks at what the configuration names, before anything starts.
    ///   - checkAgain: what a configuration read later has to pass, too; beside what is in effect.
    ///   - load: reads flags and file, and checks what they say.
    static func configuration<Configuration>(
        _ keys: [ConfigurationKey<Configuration>], defaults: Configuration, logging: KeyPath<Configuration, LogConfiguration>,
        check: (Configuration, Log) throws(ConfigurationError) -> Void = { _, _ in },
        checkAgain: @escaping (_ new: Configuration, _ current: Configuration) throws(ConfigurationError) -> Void = { _, _ in },
        load: @escaping () throws -> Loaded<Configuration>
    ) throws -> LiveConfiguration<Configuration> {
        let loaded = try load()
        let log = Log(sink: LogSink(configuration: loaded.configuration[keyPath: logging]))
        try check(loaded.configuration, log)
        try loaded.endIfOnlyChecked()
        return LiveConfiguration(loaded.configuration, defaults: defaults, keys: keys, logging: logging, log: log) { current throws(ConfigurationError) in
            do {
                let configuration = try load().configuration
                try checkAgain(configuration, current)
                return configuration
            } catch let error as ConfigurationError {
                throw error
            } catch {
                throw ConfigurationError(String(describing: error))
            }
        }
    }
}
