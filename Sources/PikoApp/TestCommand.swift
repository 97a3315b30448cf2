// SPDX-License-Identifier: MIT
// `piko test cluster`.
// Main thread; SIGHUP has the configuration read again on the control loop.

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
        let configuration = try Self.load(arguments)
        let log = Log(sink: LogSink(configuration: configuration.log))
        let arguments = self.arguments
        let process = TestClusterProcess(configuration: configuration, log: log) { () throws(ConfigurationError) in
            do {
                return try Self.load(arguments)
            } catch let error as ConfigurationError {
                throw error
            } catch {
                throw ConfigurationError(String(describing: error))
            }
        }
        throw CommandExit.code(process.run())
    }

    private static func load(_ arguments: [String]) throws -> TestClusterConfiguration {
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
        return loaded.configuration
    }
}
