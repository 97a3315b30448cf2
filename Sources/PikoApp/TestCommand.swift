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
        try NotYet.run(
            arguments, name: "test cluster", usage: "test cluster --nodes N", about: "Starts a cluster on this machine.")
    }
}
