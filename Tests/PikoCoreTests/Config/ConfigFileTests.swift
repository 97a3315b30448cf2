// SPDX-License-Identifier: MIT
// Files: how a tree fills a configuration, what errors say, and how variables are put in.
// The trees are built here, not parsed; parsing YAML is tested with the whole program.

import PikoCore
import Testing

/// A tree built without a parser: each node's line is one more than the one before.
private struct Tree {
    private var line = 0

    static func node(_ build: (inout Tree) -> ConfigurationNode) -> ConfigurationNode {
        var tree = Tree()
        return build(&tree)
    }

    mutating func map(_ entries: (String, Any)...) -> ConfigurationNode {
        let start = line + 1
        return ConfigurationNode(.mapping(entries.map { key, value in
            line += 1
            let at = line
            return ConfigurationNode.Entry(key: key, line: at, value: convert(value))
        }), line: start)
    }

    mutating func convert(_ value: Any) -> ConfigurationNode {
        switch value {
        case let node as ConfigurationNode: return node
        case let list as [Any]: return ConfigurationNode(.list(list.map { convert($0) }), line: max(line, 1))
        case let text as String: return ConfigurationNode(.scalar(text), line: max(line, 1))
        case let pairs as KeyValuePairs<String, Any>:
            let start = line
            return ConfigurationNode(.mapping(pairs.map { key, value in
                line += 1
                let at = line
                return ConfigurationNode.Entry(key: key, line: at, value: convert(value))
            }), line: max(start, 1))
        default: return ConfigurationNode(.null, line: max(line, 1))
        }
    }
}

struct ConfigFileTests {
    private typealias Pairs = KeyValuePairs<String, Any>

    private func tree(_ pairs: KeyValuePairs<String, Any>) -> ConfigurationNode { Tree.node { $0.convert(pairs) } }

    private func server(_ pairs: KeyValuePairs<String, Any>) throws -> ServerConfiguration {
        var configuration = ServerConfiguration()
        try FileReader(ServerConfiguration.keys).read(tree(pairs), into: &configuration)
        return configuration
    }

    private func error(_ pairs: KeyValuePairs<String, Any>) -> ConfigurationError? {
        #expect(throws: ConfigurationError.self) { try server(pairs) }
    }

    @Test("file: nested keys, lists and empty values")
    func read() throws {
        let configuration = try server([
            "proxy": ["bind_addr": "127.0.0.1:9", "access_log": ["disable": "true"] as Pairs, "http": () as Any] as Pairs,
            "log": ["level": "debug", "subsystems": ["proxy", "tls"]] as Pairs,
            "grace_period": () as Any,
        ])
        var expected = ServerConfiguration()
        expected.proxy.bindAddr = HostPort(host: "127.0.0.1", port: 9)
        expected.proxy.accessLog.disable = true
        expected.log.level = .debug
        expected.log.subsystems = ["proxy", "tls"]
        #expect(configuration == expected)
    }

    @Test("file: an unknown key is named with its line, and the likely one suggested")
    func unknown() {
        #expect(error(["proxy": ["bind_adr": ":1"] as Pairs]) == ConfigurationError("proxy.bind_adr: unknown key, did you mean proxy.bind_addr?", line: 2))
        #expect(error(["prox": [:] as Pairs])?.message == "prox: unknown key, did you mean proxy?")
        #expect(error(["config": ["path": "x"] as Pairs])?.message == "config: unknown key")
    }

    @Test("file: a key given twice is an error")
    func twice() {
        #expect(error(["proxy": ["timeout": "1s", "timeout": "2s"] as Pairs]) == ConfigurationError("proxy.timeout: given twice", line: 3))
    }

    @Test("file: a wrong type is named with its line")
    func types() {
        #expect(error(["proxy": "x"]) == ConfigurationError("proxy: expected a mapping of keys", line: 1))
        #expect(error(["proxy": ["timeout": ["1s"]] as Pairs]) == ConfigurationError("proxy.timeout: expected a single value", line: 2))
        #expect(error(["log": ["subsystems": "a"] as Pairs])?.message == "log.subsystems: expected a list")
        #expect(error(["log": ["subsystems": [["a"]]] as Pairs])?.message == "log.subsystems: expected a list of single values")
        #expect(error(["grace_period": "60"])?.message == #"grace_period: expected a duration above 0, such as 10s or 1m30s, got "60""#)
        #expect(error(["grace_period": ["a": "b"] as Pairs])?.message == "grace_period: expected a single value")
    }

    /// What is wrong between the keys of a server.
    private func mistake(_ change: (inout ServerConfiguration) -> Void) -> String? {
        var configuration = ServerConfiguration()
        change(&configuration)
        do throws(ConfigurationError) { try configuration.check() } catch { return error.message }
        return nil
    }

    private func tenant(_ id: String, _ secret: String) -> TenantConfiguration {
        var tenant = TenantConfiguration()
        (tenant.id, tenant.auth.hmacSecretKey) = (id, secret)
        return tenant
    }

    @Test("tokens: a key set has no key beside it and a URL that says where it is")
    func keySet() {
        #expect(mistake { ($0.proxy.auth.jwks.endpoint, $0.proxy.auth.hmacSecretKey) = ("file:///k", "s") } == "proxy.auth.jwks.endpoint: expected no other key beside it")
        #expect(mistake { $0.admin.auth.jwks.endpoint = "keys" } == #"admin.auth.jwks.endpoint: expected an http, https or file URL, got "keys""#)
        #expect(mistake { $0.upstream.auth.jwks.endpoint = "http://idp/keys?a=b" } == nil)
    }

    @Test("tokens: what a token must claim is refused where no key asks for one")
    func rulesWithoutKey() {
        #expect(mistake { $0.proxy.auth.audience = "a" } == "proxy.auth: expected a key or jwks.endpoint, since audience is set")
        #expect(mistake { $0.upstream.auth.issuer = "i" } == "upstream.auth: expected a key or jwks.endpoint, since issuer is set")
        #expect(mistake { $0.admin.auth.requireEndpoints = true } == "admin.auth: expected a key or jwks.endpoint, since require_endpoints is set")
        let another = mistake { ($0.proxy.auth.hmacSecretKey, $0.admin.auth.audience) = ("s", "a") }
        #expect(another == "admin.auth: expected a key or jwks.endpoint, since audience is set", "a key of another section is none of this one")
        #expect(mistake { ($0.proxy.auth.leeway, $0.proxy.auth.disableDisconnectOnExpiry) = (.seconds(1), true) } == nil)
        #expect(mistake { ($0.proxy.auth.audience, $0.proxy.auth.jwks.endpoint) = ("a", "file:///k") } == nil)
    }

    @Test("tokens: tenants have an id of their own and a key")
    func tenants() throws {
        let tenants: KeyValuePairs<String, Any> = ["tenants": [["id": "t", "auth": ["issuer": "i", "hmac_secret_key": "s"] as Pairs] as Pairs]]
        let read = try server(["upstream": tenants])
        #expect(read.upstream.tenants.map(\.id) == ["t"] && read.upstream.tenants[0].auth.issuer == "i")
        #expect(mistake { $0.upstream.tenants = [tenant("a", "s"), tenant("b", "s")] } == nil)
        #expect(mistake { $0.upstream.tenants = [tenant("a", "s"), tenant("a", "t")] } == #"upstream.tenants[1].id: expected another than an earlier tenant's, got "a""#)
        #expect(mistake { $0.upstream.tenants = [tenant("", "s")] } == "upstream.tenants[0].id: expected a tenant's id")
        #expect(mistake { $0.upstream.tenants = [tenant("a", "")] } == "upstream.tenants[0].auth: expected a key or jwks.endpoint")
    }

    @Test("file: listeners begin with the defaults of one")
    func listeners() throws {
        var configuration = AgentConfiguration()
        let tree = tree([
            "listeners": [
                ["endpoint_id": "a", "addr": "3000"] as Pairs,
                ["endpoint_id": "b", "addr": "h:1", "protocol": "tcp", "timeout": "3s", "http_client": ["max_idle_conns": "-1"] as Pairs] as Pairs,
            ],
        ])
        try FileReader(AgentConfiguration.keys).read(tree, into: &configuration)
        try configuration.check()
        var (first, second) = (ListenerConfiguration(), ListenerConfiguration())
        (first.endpointID, first.addr) = ("a", "3000")
        (second.endpointID, second.addr, second.protocol, second.timeout) = ("b", "h:1", .tcp, .seconds(3))
        second.httpClient.maxIdleConns = -1
        #expect(configuration.listeners == [first, second])
    }

    @Test("file: a listener's mistake names the listener", arguments: [
        (["endpoint_id": "a/b", "addr": "1"], #"listeners[0].endpoint_id: expected an endpoint id of letters, digits and - . _ ~ : @, got "a/b""#),
        (["addr": "1"], "listeners[0].endpoint_id: expected an endpoint id"),
        (["endpoint_id": "a"], #"listeners[0].addr: expected a port, host:port or URL, got """#),
        (["endpoint_id": "a", "addr": "localhost:0"], #"listeners[0].addr: expected a port, host:port or URL, got "localhost:0""#),
        (["endpoint_id": "a", "addr": "x y"], #"listeners[0].addr: expected a port, host:port or URL, got "x y""#),
        (["endpoint_id": "a", "addr": "http://h", "protocol": "tcp"], #"listeners[0].addr: expected a port or host:port, got "http://h""#),
        (["endpoint_id": "a", "addr": "1", "protocol": "udp"], #"listeners[0].protocol: expected http or tcp, got "udp""#),
        (["endpoint_id": "a", "addr": "http://h/p", "protocol": "tcp"], #"listeners[0].addr: expected a port or host:port, got "http://h/p""#),
        (["endpoint": "a"], "listeners[0].endpoint: unknown key, did you mean listeners[0].endpoint_id?"),
    ] as [([String: String], String)])
    func listenerMistakes(fields: [String: String], message: String) {
        let entries = fields.sorted { $0.key < $1.key }.map { ConfigurationNode.Entry(key: $0.key, line: 2, value: ConfigurationNode(.scalar($0.value), line: 2)) }
        let element = ConfigurationNode(.mapping(entries), line: 2)
        let listeners = ConfigurationNode.Entry(key: "listeners", line: 1, value: ConfigurationNode(.list([element]), line: 2))
        var configuration = AgentConfiguration()
        let error = #expect(throws: ConfigurationError.self) {
            try FileReader(AgentConfiguration.keys).read(ConfigurationNode(.mapping([listeners]), line: 1), into: &configuration)
            try configuration.check()
        }
        #expect(error?.message == message)
    }

    @Test("check: an allow list and a block list together are an error")
    func lists() {
        var configuration = ServerConfiguration()
        configuration.proxy.accessLog.responseHeaders.allowList = ["a"]
        #expect(throws: Never.self) { try configuration.check() }
        configuration.proxy.accessLog.responseHeaders.blockList = ["b"]
        let error = #expect(throws: ConfigurationError.self) { try configuration.check() }
        #expect(error?.message == "proxy.access_log.response_headers: expected allow_list or block_list, not both")
    }

    @Test("variables: every documented form", arguments: [
        ("$A", "1"), ("${A}", "1"), ("x$A-y", "x1-y"), ("$A$B", "12"), ("$AB", "\u{F8FE}"), ("${C}", "\u{F8FE}"), ("${C:d}", "d"), ("${A:d}", "1"),
        ("${E:d}", "d"), ("${C:http://h:1/p}", "http://h:1/p"), ("${C:}", ""), ("$", "$"), ("$$A", "$1"), ("a$1b", "a$1b"), ("${", "${"), ("${}", "${}"),
        ("$A_B.", "\u{F8FE}."), ("pa$$word", "pa$\u{F8FE}"), ("${R}", "$A"),
    ])
    func variables(text: String, expected: String) {
        let variables = ["A": "1", "B": "2", "E": "", "R": "$A"]
        #expect(EnvironmentExpansion.expand(text) { variables[$0] } == expected)
    }
}
