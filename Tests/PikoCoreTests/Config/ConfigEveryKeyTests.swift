// SPDX-License-Identifier: MIT
// Every key of every command, as a flag and in a file: takes what its type is, and refuses anything else with a line that names it and what
// was expected. The cases come from the tables of keys, so a new key is covered when it is there.

import Testing

@testable import PikoCore

struct ConfigEveryKeyTests {
    /// By placeholder of help: a text that is taken, and texts that are not.
    private static let cases: [String: (good: String, bad: [String])] = [
        "": ("true", ["yes", "2", ""]),
        "TEXT": ("some text", []),
        "FILE": ("/some/file", [""]),
        "TOKEN": ("abc", ["", "a b", "a\nb", "é"]),
        "ID": ("abc", ["a b", "a\tb"]),
        "STATUS": ("left", ["gone", ""]),
        "ENDPOINT": ("my-endpoint", ["", "a/b", "..", "a b", "ü"]),
        "NUMBER": ("1", ["", "x", "-2", "1e999", "99999999999999999999"]),
        "DURATION": ("7s", ["", "7", "s", "-1s", "1.s.", "7 s", "99999999h"]),
        "LEVEL": ("warn", ["", "loud", "INFO"]),
        "ADDRESS": ("h:1", ["", "h", "h:", "h:x", "h:65536", "a b:1", "::1:80"]),
        "URL": ("http://h:1", ["", "h:1", "ftp://h", "http://", "http://h:x", "http://h/?q", "http://h/#f"]),
        "PROXY": ("http://h:1", ["", "ftp://h", "http://", "http://h:x", "http://h/path"]),
        "WHERE": ("cluster", ["", "here"]),
        "PROTOCOL": ("tcp", ["", "udp"]),
    ]

    private func message(_ body: () throws(ConfigurationError) -> Void) -> String? {
        do throws(ConfigurationError) {
            try body()
            return nil
        } catch {
            return error.message
        }
    }

    private func node(_ text: String, at path: String, isList: Bool) -> ConfigurationNode {
        let scalar = ConfigurationNode(.scalar(text), line: 1)
        let value = isList ? ConfigurationNode(.list([scalar]), line: 1) : scalar
        return path.split(separator: ".").reversed().reduce(value) { inner, name in
            ConfigurationNode(.mapping([.init(key: String(name), line: 1, value: inner)]), line: 1)
        }
    }

    /// Some numbers have a narrower range than the case's text.
    private func good<Root>(_ key: ConfigurationKey<Root>, _ root: Root) -> String {
        guard key.placeholder == "NUMBER" else { return Self.cases[key.placeholder]?.good ?? "" }
        return Double(key.written(root)).map { $0 > 1 } == true ? key.written(root) : "1"
    }

    private func check<Root>(_ keys: [ConfigurationKey<Root>], _ root: Root) throws {
        for key in keys where key.isValue {
            if key.isList { continue }
            let cases = try #require(Self.cases[key.placeholder], "\(key.path)")
            var (byFlag, byFile) = (root, root)
            let text = good(key, root)
            #expect(message { () throws(ConfigurationError) in try apply("\(key.flag)=\(text)", keys, &byFlag) } == nil, "\(key.path)")
            let file = node(text, at: key.path, isList: false)
            #expect(message { () throws(ConfigurationError) in try FileReader(keys).read(file, into: &byFile) } == nil, "\(key.path)")
            #expect(key.written(byFlag) == key.written(byFile) && !key.written(byFlag).isEmpty, "\(key.path)")
            for bad in cases.bad { refuses(key, bad, keys, root) }
        }
    }

    private func apply<Root>(_ argument: String, _ keys: [ConfigurationKey<Root>], _ root: inout Root) throws(ConfigurationError) {
        let reader = FlagReader(keys)
        try reader.apply(try reader.split([argument]), to: &root)
    }

    /// By its flag and in a file, under the name that the user has written. Only in a file may nothing stand for nothing.
    private func refuses<Root>(_ key: ConfigurationKey<Root>, _ text: String, _ keys: [ConfigurationKey<Root>], _ root: Root) {
        var root = root
        let byFlag = message { () throws(ConfigurationError) in try apply("\(key.flag)=\(text)", keys, &root) }
        #expect(byFlag?.hasPrefix("\(key.flag): expected ") == true, "\(key.flag)=\(text): \(byFlag ?? "taken")")
        #expect(byFlag?.contains("\n") == false, "\(key.path)")
        if text.isEmpty, !key.isList, key.written(root).isEmpty { return takesNone(key, keys, root) }
        let file = node(text, at: key.path, isList: key.isList)
        let inFile = message { () throws(ConfigurationError) in try FileReader(keys).read(file, into: &root) }
        #expect(inFile?.hasPrefix("\(key.path): expected ") == true, "\(key.path): \(text): \(inFile ?? "taken")")
        #expect(inFile?.contains("\n") == false, "\(key.path)")
    }

    private func takesNone<Root>(_ key: ConfigurationKey<Root>, _ keys: [ConfigurationKey<Root>], _ root: Root) {
        var root = root
        let said = message { () throws(ConfigurationError) in try FileReader(keys).read(node("", at: key.path, isList: false), into: &root) }
        #expect(said == nil && key.written(root).isEmpty, "\(key.path): \(said ?? "given")")
    }

    @Test("keys: every one of a server takes its type and refuses the rest by name")
    func server() throws { try check(ServerConfiguration.keys, ServerConfiguration()) }

    @Test("keys: every one of an agent, its listeners and its short commands")
    func agent() throws {
        try check(AgentConfiguration.keys, AgentConfiguration())
        try check(ListenerConfiguration.keys, ListenerConfiguration())
        try check(ListenerConfiguration.httpFlags, ListenerConfiguration())
        try check(ListenerConfiguration.tcpFlags, ListenerConfiguration())
    }

    @Test("keys: every one of a forward and the other commands")
    func others() throws {
        try check(ForwardConfiguration.keys, ForwardConfiguration())
        try check(PortConfiguration.keys, PortConfiguration())
        try check(BenchConfiguration.keys, BenchConfiguration())
        try check(TestClusterConfiguration.keys, TestClusterConfiguration())
        try check(StatusConfiguration.keys + [StatusConfiguration.statusKey], StatusConfiguration())
    }

    private static let protection =
        ["auth.hmac_secret_key", "auth.rsa_public_key", "auth.ecdsa_public_key", "auth.audience", "auth.issuer", "auth.jwks.endpoint"]
        + ["tls.cert", "tls.key", "tls.client_cas", "tls.client.cert", "tls.client.key", "tls.client.root_cas"]

    private func node(of content: ConfigurationNode.Content, at key: String) -> ConfigurationNode {
        key.split(separator: ".").reversed().reduce(ConfigurationNode(content, line: 1)) { inner, name in
            ConfigurationNode(.mapping([.init(key: String(name), line: 1, value: inner)]), line: 1)
        }
    }

    /// Given with nothing behind them by a flag, and in a file by a variable without a value or as null. An empty text there is as good as none.
    private func refuseNothing<Root>(_ keys: [ConfigurationKey<Root>], _ root: Root, _ paths: [String]) {
        #expect(keys.filter { !$0.takesNothing }.map(\.path).sorted() == paths.sorted())
        for key in keys where !key.takesNothing {
            refuses(key, "", keys, root)
            for content in [ConfigurationNode.Content.null, key.isList ? .list([ConfigurationNode(.unset, line: 1)]) : .unset] {
                var root = root
                let said = message { () throws(ConfigurationError) in try FileReader(keys).read(node(of: content, at: key.path), into: &root) }
                #expect(said?.hasPrefix("\(key.path): expected ") == true && said?.hasSuffix(#", got """#) == true, "\(key.path): \(said ?? "taken")")
            }
        }
    }

    @Test("keys: one that protects something is never given with nothing behind it")
    func neverEmpty() {
        let ports = ["proxy", "upstream", "admin"].flatMap { port in Self.protection.map { "\(port).\($0)" } }
        refuseNothing(ServerConfiguration.keys, ServerConfiguration(), ports + ["cluster.gossip.keys"])
        let connect = ["token", "token_file", "tls.cert", "tls.key", "tls.root_cas"].map { "connect.\($0)" }
        refuseNothing(AgentConfiguration.keys, AgentConfiguration(), connect)
        refuseNothing(ForwardConfiguration.keys, ForwardConfiguration(), connect)
        refuseNothing(ListenerConfiguration.keys, ListenerConfiguration(), ["tls.cert", "tls.key", "tls.root_cas"])
        refuseNothing(FileOptions.keys, FileOptions(), ["path"])
    }

    @Test("keys: of a tenant too, by the tenant's place")
    func tenants() {
        let secret = ConfigurationNode(.mapping([.init(key: "hmac_secret_key", line: 3, value: ConfigurationNode(.unset, line: 3))]), line: 3)
        let tenant = ConfigurationNode(.mapping([.init(key: "auth", line: 3, value: secret)]), line: 2)
        let list = ConfigurationNode(.mapping([.init(key: "tenants", line: 1, value: ConfigurationNode(.list([tenant]), line: 2))]), line: 1)
        let file = ConfigurationNode(.mapping([.init(key: "upstream", line: 1, value: list)]), line: 1)
        var root = ServerConfiguration()
        let said = message { () throws(ConfigurationError) in try FileReader(ServerConfiguration.keys).read(file, into: &root) }
        #expect(said == #"upstream.tenants[0].auth.hmac_secret_key: expected a secret, got """#)
    }

    @Test("keys: an empty list by a flag does not win over the file's secrets: it is refused")
    func flagOverFile() throws {
        var root = ServerConfiguration()
        let file = node(String(repeating: "a", count: 64), at: "cluster.gossip.keys", isList: true)
        try FileReader(ServerConfiguration.keys).read(file, into: &root)
        let said = message { () throws(ConfigurationError) in try apply("--cluster.gossip.keys=", ServerConfiguration.keys, &root) }
        #expect(said?.hasPrefix("--cluster.gossip.keys: expected different keys") == true && root.cluster.gossip.keys.count == 1)
    }

    private func elements(_ key: ConfigurationKey<ServerConfiguration>) -> (String, String) {
        if key.placeholder == "KEYS" { return (String(repeating: "a", count: 64), String(repeating: "b", count: 64)) }
        return key.path == "log.subsystems" ? ("proxy", "tls") : ("a", "b")
    }

    @Test("keys: a list is a list in a file, and repeated or with commas as a flag")
    func lists() throws {
        for key in ServerConfiguration.keys where key.isValue && key.isList && key.support == .works {
            var (byFlag, byFile) = (ServerConfiguration(), ServerConfiguration())
            let (a, b) = elements(key)
            try apply("\(key.flag)=\(a),\(b)", ServerConfiguration.keys, &byFlag)
            #expect(key.written(byFlag) == "\(a),\(b)", "\(key.path)")
            try FileReader(ServerConfiguration.keys).read(node(a, at: key.path, isList: true), into: &byFile)
            #expect(key.written(byFile) == a, "\(key.path)")
            let scalar = message { () throws(ConfigurationError) in
                try FileReader(ServerConfiguration.keys).read(node(a, at: key.path, isList: false), into: &byFile)
            }
            #expect(scalar == "\(key.path): expected a list")
        }
    }
}
