// SPDX-License-Identifier: MIT
// What a process was told, and what it is told anew while it runs. Main thread only: reading files may block. How a change takes effect is
// its command's matter; what may change at all, the keys'.

import PikoCore

/// The configuration of a command that stays.
public final class LiveConfiguration<Configuration> {
    /// Reads flags and file anew, and checks them; what is in effect is given.
    public typealias Read = (_ current: Configuration) throws(ConfigurationError) -> Configuration

    /// What is in effect.
    public private(set) var current: Configuration
    let log: Log
    private let defaults: Configuration
    private let keys: [ConfigurationKey<Configuration>]
    private let logging: KeyPath<Configuration, LogConfiguration>
    private let read: Read

    /// Bytes of a line of `show`, of those that a line of the log may have.
    private static var lineRoom: Int { LogSink.lineLimit - 400 }

    /// Keys that a line names.
    private static var mostNamed: Int { 8 }

    /// - Parameters:
    ///   - defaults: of which nothing was told.
    ///   - logging: where the configuration says what is logged.
    ///   - log: what that is about.
    public init(
        _ current: Configuration, defaults: Configuration, keys: [ConfigurationKey<Configuration>], logging: KeyPath<Configuration, LogConfiguration>,
        log: Log, read: @escaping Read
    ) {
        self.current = current
        self.defaults = defaults
        self.keys = keys
        self.logging = logging
        self.log = log
        self.read = read
    }

    /// Logs what is in effect, secrets masked, at the level of debug, and what of it does nothing.
    func show() {
        warnOfSubsystems()
        warnOfIdleKeys()
        guard log.isEnabled(.debug) else { return }
        var line: [(key: String, text: String)] = []
        var room = Self.lineRoom
        for entry in ConfigurationText.entries(of: current, keys) {
            let cost = entry.key.utf8.count + Self.cost(entry.text) + 6
            if cost > room, !line.isEmpty {
                show(line)
                line = []
                room = Self.lineRoom
            }
            line.append(entry)
            room -= cost
        }
        show(line)
    }

    private func show(_ entries: [(key: String, text: String)]) {
        log.debug("configuration") { line in
            for entry in entries { line.add(key: entry.key, entry.text) }
        }
    }

    /// Bytes in a log line, escapes included, at most.
    private static func cost(_ text: String) -> Int {
        text.utf8.reduce(0) { $0 + ($1 >= 0x20 && $1 < 0x7F && $1 != 0x22 && $1 != 0x5C ? 1 : 6) }
    }

    /// Reads the configuration again and has it applied; says what took effect and what would need a restart. What cannot be read or applied
    /// leaves everything as it was.
    /// - Parameter apply: throws before it has changed anything.
    func reload(_ apply: (ReloadPlan<Configuration>) throws(ConfigurationError) -> Void) {
        do throws(ConfigurationError) {
            let plan = ReloadPlan(from: current, to: try read(current), keys: keys)
            try apply(plan)
            current = plan.configuration
            // Said where either the old level or the new one lets it be said.
            let isSaidBefore = log.isEnabled(.info)
            if isSaidBefore { report(plan) }
            log.configure(current[keyPath: logging])
            if !isSaidBefore { report(plan) }
            if plan.applied.contains("log.subsystems") { warnOfSubsystems() }
        } catch {
            log.error("configuration not changed") { $0.add("error", error.message) }
        }
    }

    private func warnOfSubsystems() {
        let unknown = current[keyPath: logging].unknownSubsystems
        guard !unknown.isEmpty else { return }
        log.warn("no such subsystem") {
            $0.add("key", "log.subsystems")
            $0.add("got", unknown.joined(separator: ", "))
            $0.add("expected", LogConfiguration.knownSubsystems.joined(separator: ", "))
        }
    }

    private func warnOfIdleKeys() {
        let idle = ConfigurationText.idleKeys(of: current, defaults: defaults, keys)
        guard !idle.isEmpty else { return }
        let more = idle.count > Self.mostNamed ? ", \(idle.count - Self.mostNamed) more" : ""
        log.warn("keys without effect") { $0.add("keys", idle.prefix(Self.mostNamed).joined(separator: ", ") + more) }
    }

    private func report(_ plan: ReloadPlan<Configuration>) {
        log.info("configuration read again") { $0.add("applied", plan.applied.joined(separator: ", ")) }
        guard !plan.needRestart.isEmpty else { return }
        log.warn("configuration needs a restart") { $0.add("keys", plan.needRestart.joined(separator: ", ")) }
    }
}
