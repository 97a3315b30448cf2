// SPDX-License-Identifier: MIT
// `piko test cluster`.
// Main thread.

import ArgumentParser
import PikoControl
import PikoCore

struct Test: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Try things on this machine.", version: CommandExit.version, subcommands: [TestCluster.self]
    )
}

struct TestCluster: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "cluster", abstract: "Start a cluster on this machine.")

    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

    func run() throws {
        let arguments = self.arguments
        let configuration = try StayingCommand.configuration(TestClusterConfiguration.keys, defaults: TestClusterConfiguration(), logging: \.log) { try Self.load(arguments) }
        throw CommandExit.code(TestClusterProcess(configuration: configuration).run())
    }

    private static func load(_ arguments: [String]) throws -> Loaded<TestClusterConfiguration> {
        let keys = TestClusterConfiguration.keys
        let help = CommandHelp(
            usage: "test cluster [flags]",
            about: """
                Starts server nodes on this machine, joined to one cluster, behind a load balancer of its own. SIGHUP reads the file
                again: nodes and churn.interval change at once.
                """
        )
        let loaded = try Loaded.read(arguments, into: TestClusterConfiguration(), flags: keys, fileKeys: keys, help: help)
        _ = try loaded.arguments()
        return loaded
    }
}
