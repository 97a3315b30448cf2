// SPDX-License-Identifier: MIT
// `piko bench http`.
// Main thread.

import ArgumentParser
import PikoControl
import PikoCore

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

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
        var loaded = try Loaded.read(arguments, into: BenchConfiguration(), flags: keys, fileKeys: keys, help: help)
        _ = try loaded.arguments()
        try loaded.configuration.check()
        try loaded.configuration.takeProxies(from: .process)
        let log = Log(sink: LogSink(configuration: loaded.configuration.log), subsystem: "bench")
        try NamedFiles.check(loaded.configuration, log: log)
        try loaded.endIfOnlyChecked()
        try Self.measure(loaded.configuration, log)
    }

    private static func measure(_ configuration: BenchConfiguration, _ log: Log) throws {
        let report = try measured(configuration, log)
        print(report.text)
        guard report.latency.total == report.requests else {
            let missing = UInt64(report.requests) - report.latency.total
            throw CommandExit.failure("bench http: \(missing) of \(report.requests) requests without an answer: \(report.trouble ?? "ended early")")
        }
    }

    private static func measured(_ configuration: BenchConfiguration, _ log: Log) throws -> BenchReport {
        do throws(BenchFailure) {
            return try BenchProcess(configuration: configuration, log: log).run(progress: show)
        } catch {
            throw CommandExit.failure("bench http: \(error.reason)")
        }
    }

    /// On a terminal the line is written over the last one.
    private static func show(_ line: String) {
        let isTerminal = isatty(2) == 1
        var text = isTerminal ? "\r\u{1B}[K\(line)" : "\(line)\n"
        text.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
    }
}
