// SPDX-License-Identifier: MIT
// `piko server` and the tree of `piko server status`.
// Main thread.

import ArgumentParser
import PikoControl
import PikoCore

struct Server: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server", abstract: "Start a server node, or ask one for its status.",
        version: CommandExit.version, subcommands: [ServerRun.self, Status.self]
    )
}

/// `piko server` itself. CommandOrder puts its name in.
struct ServerRun: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "run", shouldDisplay: false)

    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

    func run() throws {
        let arguments = self.arguments
        let configuration = try StayingCommand.configuration(
            ServerConfiguration.keys, defaults: ServerConfiguration(), logging: \.log,
            check: { (configuration, log) throws(ConfigurationError) in try NamedFiles.check(configuration, log: log) },
            checkAgain: { (new, current) throws(ConfigurationError) in try NamedFiles.checkTokens(new, insteadOf: current) }
        ) { try Self.load(arguments) }
        ParentWatch.start()
        throw CommandExit.code(ServerProcess(configuration: configuration).run())
    }

    private static func load(_ arguments: [String]) throws -> Loaded<ServerConfiguration> {
        let keys = ServerConfiguration.keys
        let help = CommandHelp(
            usage: "server [flags]\n       piko server status --help",
            about: """
                Starts a server node. It has four ports:
                  proxy     clients, whose requests go to upstreams by endpoint
                  upstream  agents, which open tunnels
                  admin     metrics, health and status
                  gossip    other nodes
                """
        )
        let loaded = try Loaded.read(arguments, into: ServerConfiguration(), flags: keys, fileKeys: keys, help: help)
        _ = try loaded.arguments()
        try loaded.configuration.check()
        try ServerProcess.check(loaded.configuration)
        return loaded
    }
}
