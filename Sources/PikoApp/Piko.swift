// SPDX-License-Identifier: MIT
// The command line's root: which commands there are, and how a run ends. Main thread. ArgumentParser finds the command; the
// flags of a command are read by PikoCore's tables of keys.
// Exit codes: 0 done, 1 anything else, with one line on standard error.

import ArgumentParser
import PikoCore

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// The process's end; a ParsableCommand has a method of the name "exit".
private func leave(_ code: Int32) -> Never { exit(code) }

@main
struct Piko: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "piko",
        abstract: "A reverse proxy for services that cannot be reached.",
        discussion: """
            A service opens an outbound tunnel to a server with 'piko agent';
            clients reach it through the server, by the name of its endpoint.

            A server:             piko server
            A service, port 3000: piko agent http my-endpoint 3000
            A request to it:      curl -H "x-piko-endpoint: my-endpoint" localhost:8000
            A local port to it:   piko forward tcp 4000 my-endpoint
            """,
        version: CommandExit.version,
        subcommands: [Server.self, Agent.self, Forward.self, Bench.self, Test.self]
    )

    static func main() {
        StandardDescriptors.open()
        leave(run(Array(CommandLine.arguments.dropFirst())))
    }

    /// Runs a command line to its end; returns the exit code.
    static func run(_ arguments: [String]) -> Int32 {
        do {
            var command = try parseAsRoot(try CommandOrder.normalized(arguments))
            try command.run()
            return 0
        } catch {
            return CommandExit.report(error)
        }
    }
}
