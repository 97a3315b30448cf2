// SPDX-License-Identifier: MIT
// From a command's arguments to its configuration: defaults, then the file, then the flags.
// Main thread, before anything starts.

import PikoCore

/// What a command line said.
struct Loaded<Configuration> {
    var configuration: Configuration
    var file = FileOptions()
    /// What is no flag.
    var rest: [String] = []

    init(_ defaults: Configuration) { configuration = defaults }

    /// Reads the arguments of a command. Help and version end it.
    ///
    /// - Parameters:
    ///   - flags: the command's flags; those that name the file are added.
    ///   - fileKeys: the keys that the file may have.
    ///   - help: what is printed in front of the flags.
    static func read(
        _ arguments: [String], into defaults: Configuration, flags: [ConfigurationKey<Configuration>],
        fileKeys: [ConfigurationKey<Configuration>], help: CommandHelp
    ) throws -> Loaded {
        var loaded = Loaded(defaults)
        let fileFlags = FileOptions.keys.under("config", \Loaded.file)
        let all = flags.under("", \Loaded.configuration) + fileFlags
        let reader = FlagReader(all)
        let given = try reader.split(arguments)
        if given.wantsHelp { throw CommandExit.text(help.text(FlagHelp.text(all, defaults: loaded))) }
        if given.wantsVersion { throw CommandExit.text(CommandExit.version) }
        try FlagReader(fileFlags).apply(given, to: &loaded)
        try YAMLFile.read(loaded.file, into: &loaded.configuration, fileKeys)
        try reader.apply(given, to: &loaded)
        loaded.rest = given.rest
        return loaded
    }

    /// The same command line with what was made of its configuration.
    func with<Other>(_ configuration: Other) -> Loaded<Other> {
        var other = Loaded<Other>(configuration)
        other.file = file
        other.rest = rest
        return other
    }

    /// `--config.check` ends the command here.
    func endIfOnlyChecked() throws {
        if file.check { throw CommandExit.text("the configuration is right") }
    }

    /// The arguments that are no flags, by their names in help. Too few and too many are errors.
    func arguments(_ names: String...) throws -> [String] {
        guard rest.count >= names.count else { throw CommandExit.failure("missing argument: \(names[rest.count])") }
        guard rest.count == names.count else { throw CommandExit.failure("unexpected argument: \(ShownText.masked(rest[names.count]))") }
        return rest
    }
}
