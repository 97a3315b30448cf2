// SPDX-License-Identifier: MIT
// `piko agent http|tcp|start`.
// Main thread.

import ArgumentParser
import PikoControl
import PikoCore

struct Agent: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent",
        abstract: "Make services reachable as endpoints.",
        discussion: """
            An agent opens a tunnel to the server for each endpoint and forwards
            what comes through it to the service. It opens no port itself.

            piko agent http my-endpoint 3000
            piko agent tcp my-database 5432
            piko agent start --config.path agent.yaml
            """,
        version: CommandExit.version,
        subcommands: [AgentHTTP.self, AgentTCP.self, AgentStart.self]
    )
}

/// An agent's configuration, and the listener that the two-argument commands make.
struct AgentLine {
    var configuration = AgentConfiguration()
    var listener = ListenerConfiguration()

    static func load(_ arguments: [String], flags: [ConfigurationKey<ListenerConfiguration>], help: CommandHelp) throws -> Loaded<Self> {
        let keys = AgentConfiguration.keys.under("", \AgentLine.configuration)
        return try Loaded.read(arguments, into: Self(), flags: flags.under("", \.listener) + keys, fileKeys: keys, help: help)
    }

    /// Runs with the one listener of the command line instead of the file's.
    static func runOne(_ tunnelProtocol: ListenerConfiguration.TunnelProtocol, _ load: @escaping () throws -> Loaded<Self>) throws -> Never {
        try run {
            var loaded = try load()
            let arguments = try loaded.arguments("ENDPOINT", "ADDR")
            try loaded.configuration.listener.set(endpoint: arguments[0], addr: arguments[1], tunnelProtocol)
            loaded.configuration.configuration.listeners = [loaded.configuration.listener]
            return loaded
        }
    }

    static func run(_ load: @escaping () throws -> Loaded<Self>) throws -> Never {
        let configuration = try StayingCommand.configuration(
            AgentConfiguration.keys, defaults: AgentConfiguration(), logging: \.log,
            check: { (configuration, log) throws(ConfigurationError) in try NamedFiles.check(configuration, log: log) },
            checkAgain: { (new, current) throws(ConfigurationError) in try NamedFiles.checkTokens(new, insteadOf: current) }
        ) {
            let loaded = try load()
            var configuration = loaded.configuration.configuration
            try configuration.check()
            try configuration.takeProxy(from: .process)
            return loaded.with(configuration)
        }
        throw CommandExit.code(AgentProcess(configuration: configuration).run())
    }
}

struct AgentHTTP: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "http", abstract: "Forward HTTP requests to a service.")

    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

    func run() throws {
        let help = CommandHelp(
            usage: "agent http ENDPOINT ADDR [flags]",
            about: "Forwards the HTTP requests of an endpoint to a service. ADDR is a port, host:port or URL;\na URL's path stands in front of the path of every request."
        )
        let arguments = self.arguments
        try AgentLine.runOne(.http) { try AgentLine.load(arguments, flags: ListenerConfiguration.httpFlags, help: help) }
    }
}

struct AgentTCP: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "tcp", abstract: "Forward TCP connections to a service.")

    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

    func run() throws {
        let help = CommandHelp(
            usage: "agent tcp ENDPOINT ADDR [flags]",
            about: "Forwards the TCP connections of an endpoint to a service. ADDR is a port or host:port."
        )
        let arguments = self.arguments
        try AgentLine.runOne(.tcp) { try AgentLine.load(arguments, flags: ListenerConfiguration.tcpFlags, help: help) }
    }
}

struct AgentStart: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "start", abstract: "Forward for all listeners of a file.")

    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

    func run() throws {
        let arguments = self.arguments
        try AgentLine.run { try Self.load(arguments) }
    }

    private static func load(_ arguments: [String]) throws -> Loaded<AgentLine> {
        let help = CommandHelp(
            usage: "agent start --config.path FILE [flags]",
            about: "Forwards for each of the listeners in a YAML file, under the key 'listeners'."
        )
        let loaded = try AgentLine.load(arguments, flags: [], help: help)
        _ = try loaded.arguments()
        if loaded.configuration.configuration.listeners.isEmpty { throw ConfigurationError("listeners: expected at least one, in the file of --config.path") }
        return loaded
    }
}
