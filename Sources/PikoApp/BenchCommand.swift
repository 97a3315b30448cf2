// SPDX-License-Identifier: MIT
// `piko bench http`.
// Main thread.

import ArgumentParser
import PikoCore

struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure a server.", version: CommandExit.version, subcommands: [BenchHTTP.self]
    )
}

struct BenchHTTP: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "http", abstract: "Send HTTP requests to tunnels of its own.")

    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

    func run() throws {
        let keys = BenchConfiguration.keys
        let help = CommandHelp(
            usage: "bench http [flags]",
            about: """
                Opens tunnels to a server, sends requests through it that the tunnels answer, and prints how many a second
                there were and how long they took.
                """
        )
        let loaded = try Loaded.read(arguments, into: BenchConfiguration(), flags: keys, fileKeys: keys, help: help)
        _ = try loaded.arguments()
        try loaded.configuration.check()
        throw CommandExit.failure("bench http: not supported yet")
    }
}
