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

    static func run(_ configuration: ForwardConfiguration) throws -> Never {
        try configuration.check()
        let sink = LogSink(configuration: configuration.log)
        throw CommandExit.code(ForwardProcess(configuration: configuration, log: Log(sink: sink)).run())
    }
}

struct ForwardTCP: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "tcp", abstract: "Open one port to an endpoint.")

    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

    func run() throws {
        let help = CommandHelp(
            usage: "forward tcp ADDR ENDPOINT [flags]\n       piko forward ADDR ENDPOINT [flags]\n       piko forward start --help",
            about: "Listens on a local port and forwards its connections to an endpoint. ADDR is a port or host:port."
        )
        let loaded = try Forward.load(arguments, help)
        let arguments = try loaded.arguments("ADDR", "ENDPOINT")
        var configuration = loaded.configuration
        configuration.ports = [try PortConfiguration(addr: arguments[0], endpoint: arguments[1])]
        try Forward.run(configuration)
    }
}

struct ForwardStart: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "start", abstract: "Open all ports of a file.")

    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

    func run() throws {
        let help = CommandHelp(
            usage: "forward start --config.path FILE [flags]",
            about: "Opens each of the ports in a YAML file, under the key 'ports'."
        )
        let loaded = try Forward.load(arguments, help)
        _ = try loaded.arguments()
        if loaded.configuration.ports.isEmpty { throw ConfigurationError("ports: expected at least one, in the file of --config.path") }
        try Forward.run(loaded.configuration)
    }
}
