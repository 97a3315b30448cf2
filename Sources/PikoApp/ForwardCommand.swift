// SPDX-License-Identifier: MIT
// `piko forward tcp|start`, and `piko forward ADDR ENDPOINT`, which CommandOrder makes a `tcp`.
// Main thread.

import ArgumentParser
import PikoControl
import PikoCore

struct Forward: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forward",
        abstract: "Open local ports to endpoints.",
        version: CommandExit.version,
        subcommands: [ForwardTCP.self, ForwardStart.self]
    )

    static func load(_ arguments: [String], _ help: CommandHelp) throws -> Loaded<ForwardConfiguration> {
        let keys = ForwardConfiguration.keys
        return try Loaded.read(arguments, into: ForwardConfiguration(), flags: keys, fileKeys: keys, help: help)
    }

    static func run(_ load: @escaping () throws -> Loaded<ForwardConfiguration>) throws -> Never {
        let configuration = try StayingCommand.configuration(
            ForwardConfiguration.keys, defaults: ForwardConfiguration(), logging: \.log,
            check: { (configuration, log) throws(ConfigurationError) in try NamedFiles.check(configuration, log: log) },
            checkAgain: { (new, current) throws(ConfigurationError) in try NamedFiles.checkTokens(new, insteadOf: current) },
            load: load)
        throw CommandExit.code(ForwardProcess(configuration: configuration).run())
    }
}

struct ForwardTCP: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "tcp", abstract: "Open one port to an endpoint.")

    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

    func run() throws {
        let arguments = self.arguments
        try Forward.run { try Self.load(arguments) }
    }

    /// The one port of the command line instead of the file's.
    private static func load(_ arguments: [String]) throws -> Loaded<ForwardConfiguration> {
        let help = CommandHelp(
            usage: "forward tcp ADDR ENDPOINT [flags]\n       piko forward ADDR ENDPOINT [flags]\n       piko forward start --help",
            about: "Listens on a local port and forwards its connections to an endpoint. ADDR is a port or host:port."
        )
        var loaded = try Forward.load(arguments, help)
        let places = try loaded.arguments("ADDR", "ENDPOINT")
        loaded.configuration.ports = [try PortConfiguration(addr: places[0], endpoint: places[1])]
        try loaded.configuration.check()
        try loaded.configuration.takeProxy(from: .process)
        return loaded
    }
}

struct ForwardStart: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "start", abstract: "Open all ports of a file.")

    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

    func run() throws {
        let arguments = self.arguments
        try Forward.run { try Self.load(arguments) }
    }

    private static func load(_ arguments: [String]) throws -> Loaded<ForwardConfiguration> {
        let help = CommandHelp(
            usage: "forward start --config.path FILE [flags]",
            about: "Opens each of the ports in a YAML file, under the key 'ports'."
        )
        var loaded = try Forward.load(arguments, help)
        _ = try loaded.arguments()
        if loaded.configuration.ports.isEmpty { throw ConfigurationError("ports: expected at least one, in the file of --config.path") }
        try loaded.configuration.check()
        try loaded.configuration.takeProxy(from: .process)
        return loaded
    }
}
