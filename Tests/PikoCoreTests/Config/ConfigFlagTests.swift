// SPDX-License-Identifier: MIT
// Flags: how they are split and applied, what errors say, and what help shows.
// No process, no files.

import PikoCore
import Testing

struct ConfigFlagTests {
    private func server(_ arguments: String...) throws -> (ServerConfiguration, rest: [String]) {
        var configuration = ServerConfiguration()
        let reader = FlagReader(ServerConfiguration.keys)
        let given = try reader.split(arguments)
        try reader.apply(given, to: &configuration)
        return (configuration, given.rest)
    }

    private func message(_ arguments: String...) -> String? {
        do throws(ConfigurationError) {
            var configuration = ServerConfiguration()
            let reader = FlagReader(ServerConfiguration.keys)
            try reader.apply(try reader.split(arguments), to: &configuration)
            return nil
        } catch {
            return error.message
        }
    }

    @Test("flags: with = and with a blank, the last one wins, arguments stay")
    func forms() throws {
        let (configuration, rest) = try server(
            "a", "--proxy.timeout=5s", "b", "--proxy.bind-addr", "[::1]:9", "--proxy.timeout", "6s", "--", "--proxy.timeout")
        #expect(configuration.proxy.timeout == .seconds(6))
        #expect(configuration.proxy.bindAddr == HostPort(host: "::1", port: 9))
        #expect(rest == ["a", "b", "--proxy.timeout"])
    }

    @Test("flags: a boolean takes no following value")
    func booleans() throws {
        #expect(try server("--proxy.access-log.disable", "x") == (with { $0.proxy.accessLog.disable = true }, ["x"]))
        #expect(try server("--proxy.access-log.disable=false").0 == ServerConfiguration())
        #expect(message("--proxy.access-log.disable=maybe") == #"--proxy.access-log.disable: expected true or false, got "maybe""#)
    }

    private func with(_ change: (inout ServerConfiguration) -> Void) -> ServerConfiguration {
        var configuration = ServerConfiguration()
        change(&configuration)
        return configuration
    }

    @Test("flags: lists by repetition and commas")
    func lists() throws {
        let (configuration, _) = try server("--cluster.join=a,b", "--cluster.join", " c , d e ")
        #expect(configuration.cluster.join == ["a", "b", "c", "d e"])
    }

    @Test("flags: a value may begin with a dash")
    func dashes() throws {
        let keys = ListenerConfiguration.httpFlags
        var listener = ListenerConfiguration()
        try FlagReader(keys).apply(try FlagReader(keys).split(["--http-client.max-idle-conns", "-1"]), to: &listener)
        #expect(listener.httpClient.maxIdleConns == -1)
    }

    @Test("flags: a mistake names the flag and what was expected", arguments: [
        (["--proxy.timeout", "x"], #"--proxy.timeout: expected a duration such as 10s or 1m30s, got "x""#),
        (["--proxy.timeout"], "--proxy.timeout: expected a value"),
        (["--proxy.timeout="], #"--proxy.timeout: expected a duration such as 10s or 1m30s, got """#),
        (["--proxy.bind-addr", "8000"], #"--proxy.bind-addr: expected host:port or :port, got "8000""#),
        (["--grace-period=0"], #"--grace-period: expected a duration above 0, such as 10s or 1m30s, got "0""#),
        (["--engine.loops", "2000"], #"--engine.loops: expected a whole number from 0 to 1024, got "2000""#),
        (["--engine.loops", "two"], #"--engine.loops: expected a whole number from 0 to 1024, got "two""#),
        (["--log.level=verbose"], #"--log.level: expected debug, info, warn or error, got "verbose""#),
        (["--proxy.bind_addr=:1"], "--proxy.bind_addr: unknown flag, did you mean --proxy.bind-addr?"),
        (["--prxy.timeout=1s"], "--prxy.timeout: unknown flag, did you mean --proxy.timeout?"),
        (["--no-such-thing-at-all"], "--no-such-thing-at-all: unknown flag"),
        (["-x"], "-x: unknown flag"),
        (["--upstream.tenants=a"], "--upstream.tenants: unknown flag"),
        (["--cluster.node-id=a b"], #"--cluster.node-id: expected visible ASCII characters without blanks and commas, got "a b""#),
        (["--proxy.access-log.request-headers.allow-list=Accept,X Y"], #"--proxy.access-log.request-headers.allow-list: expected a list of header names, got "Accept,X Y""#),
        (["--cluster.node-id=a,b"], #"--cluster.node-id: expected visible ASCII characters without blanks and commas, got "a,b""#),
        (["--cluster.node-id-prefix=,"], #"--cluster.node-id-prefix: expected visible ASCII characters without blanks and commas, got ",""#),
    ])
    func mistakes(arguments: [String], expected: String) throws {
        var configuration = ServerConfiguration()
        let reader = FlagReader(ServerConfiguration.keys)
        let error = #expect(throws: ConfigurationError.self) { try reader.apply(try reader.split(arguments), to: &configuration) }
        #expect(error?.message == expected)
    }

    @Test("flags: what an error shows of a value is one short line without control characters")
    func shown() throws {
        let text = try #require(message("--proxy.timeout=a\n\u{1B}[31m" + String(repeating: "x", count: 500)))
        #expect(text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F })
        #expect(text.count < 150)
    }

    @Test("flags: gossip keys read in hex and base64, several at once; what is no key of 32 bytes, or the same twice, is not shown")
    func gossipKeys() throws {
        let hex = String(repeating: "0a", count: 32)
        let base64 = String(repeating: "/", count: 42) + "8="
        func read(_ text: String) throws -> [GossipSecret] {
            var configuration = ServerConfiguration()
            let reader = FlagReader(ServerConfiguration.keys)
            try reader.apply(try reader.split(["--cluster.gossip.keys", text]), to: &configuration)
            return configuration.cluster.gossip.keys
        }
        #expect(try read("\(hex),\(base64)").map(\.bytes) == [[UInt8](repeating: 10, count: 32), [UInt8](repeating: 255, count: 32)])
        #expect(try read(String(base64.dropLast())).first?.bytes == [UInt8](repeating: 255, count: 32))
        for wrong in ["s3cret", String(hex.dropLast()), hex + "0", "g" + hex.dropFirst(), base64 + "=", base64.dropFirst() + "", "\(hex),\(hex.uppercased())", String(repeating: "/", count: 42) + "9="] {
            do {
                _ = try read(wrong)
                Issue.record("taken: \(wrong)")
            } catch let error as ConfigurationError {
                #expect(error.message == "--cluster.gossip.keys: expected different keys of 32 bytes, each in 64 hex digits or in base64")
            }
        }
        #expect("\(try read(hex))" == "[[secret]]")
    }

    @Test("flags: secrets are not shown in errors")
    func secrets() {
        var agent = AgentConfiguration()
        let reader = FlagReader(AgentConfiguration.keys)
        let error = #expect(throws: ConfigurationError.self) {
            try reader.apply(try reader.split(["--connect.token", "s3cret with blank"]), to: &agent)
        }
        #expect(error?.message == "--connect.token: expected visible ASCII characters without blanks")
    }

    @Test("help: each flag, its type and default, in lines of at most 78 columns")
    func help() {
        let text = FlagHelp.text(ServerConfiguration.keys, defaults: ServerConfiguration())
        #expect(text.contains("  --proxy.bind-addr ADDRESS  (default: :8000)\n        Where to listen"))
        #expect(text.contains("  --proxy.access-log.disable  (default: false)\n"))
        #expect(text.contains("  --cluster.join LIST\n"))
        #expect(!text.contains("tenants"))
        for line in text.split(separator: "\n") { #expect(line.count <= 78) }
    }

    @Test("help and version end the reading, whatever else is there")
    func informing() throws {
        let reader = FlagReader(ServerConfiguration.keys)
        #expect(try reader.split(["--nonsense", "--help"]).wantsHelp)
        #expect(try reader.split(["-h"]).wantsHelp)
        #expect(try reader.split(["--version"]).wantsVersion)
        #expect(try reader.split(["--", "--help"]).wantsHelp == false)
    }
}
