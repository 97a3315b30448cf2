// SPDX-License-Identifier: MIT
// `piko test cluster`, which does not work yet and says so.
// Main thread.

import ArgumentParser

struct Test: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Try things on this machine.", version: CommandExit.version, subcommands: [TestCluster.self]
    )
}

struct TestCluster: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster", abstract: "Start a cluster on this machine (not supported yet)."
    )

    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

    func run() throws {
        if arguments.contains("--help") || arguments.contains("-h") {
            throw CommandExit.text("Starts a cluster on this machine. Not supported yet.\n\nUsage: piko test cluster --nodes N")
        }
        if arguments.contains("--version") { throw CommandExit.text(CommandExit.version) }
        throw CommandExit.failure("test cluster: not supported yet")
    }
}
