// SPDX-License-Identifier: MIT
// What a configuration that was read again changes at once and what it leaves for a restart, key by key; and the configuration as text.
// Values only.

import Testing

@testable import PikoCore

struct ReloadPlanTests {
    private func plan(_ change: (inout ServerConfiguration) -> Void) -> ReloadPlan<ServerConfiguration> {
        let old = ServerConfiguration()
        var new = old
        change(&new)
        return ReloadPlan(from: old, to: new, keys: ServerConfiguration.keys)
    }

    @Test("reload: what is live is applied, what is not keeps its value, and both are named")
    func mixed() {
        let plan = plan {
            $0.proxy.timeout = .seconds(1)
            $0.log.level = .debug
            $0.proxy.bindAddr = HostPort(port: 1)
            $0.cluster.join = ["a"]
        }
        #expect(plan.applied.sorted() == ["log.level", "proxy.timeout"])
        #expect(plan.needRestart.sorted() == ["cluster.join", "proxy.bind_addr"])
        var expected = ServerConfiguration()
        expected.proxy.timeout = .seconds(1)
        expected.log.level = .debug
        #expect(plan.configuration == expected)
        #expect(plan.changes("proxy") && plan.changes("log.level") && !plan.changes("cluster") && !plan.changes("proxy.t"))
    }

    @Test("reload: the same configuration changes nothing")
    func same() {
        let plan = plan { _ in }
        #expect(plan.applied.isEmpty && plan.needRestart.isEmpty && plan.configuration == ServerConfiguration())
    }

    private static let liveOfServer = [
        "proxy.timeout", "proxy.load_balancing", "proxy.http.", "proxy.access_log.", "proxy.limits.", "upstream.limits.", "upstream.rebalance.",
        "log.", "grace_period", "cluster.gossip.keys", "proxy.auth.", "upstream.auth.", "upstream.tenants", "admin.auth.",
    ]

    @Test("reload: exactly the documented keys of a server are live")
    func liveKeys() {
        for key in ServerConfiguration.keys where key.support == .works {
            let expected = Self.liveOfServer.contains { key.path == $0 || ($0.hasSuffix(".") && key.path.hasPrefix($0)) }
            #expect(key.isLive == expected, "\(key.path)")
        }
    }

    @Test("reload: a change of any key is found, under its own name only")
    func everyKey() throws {
        for key in ServerConfiguration.keys where key.isValue {
            let old = ServerConfiguration()
            var new = old
            try key.assign(&new, [Self.other(key)], key.path)
            let plan = ReloadPlan(from: old, to: new, keys: ServerConfiguration.keys)
            #expect(plan.applied + plan.needRestart == [key.path], "\(key.path)")
            #expect(plan.configuration == (key.isLive ? new : old), "\(key.path)")
        }
    }

    /// A value that the key's default is not.
    private static func other(_ key: ConfigurationKey<ServerConfiguration>) -> String {
        let written = key.written(ServerConfiguration())
        switch key.placeholder {
        case "": return written == "true" ? "false" : "true"
        case "NUMBER": return ["upstream.rebalance.shed_rate": "0.5", "engine.loops": "2"][key.path] ?? "2000"
        case "DURATION": return "7s"
        case "LEVEL": return "error"
        case "ADDRESS": return "h:1"
        case "WHERE": return "cluster"
        case "KEYS": return String(repeating: "7f", count: GossipSecret.size)
        case "LIST" where key.path == "log.subsystems": return "gossip"
        default: return "x"
        }
    }

    private func listeners(_ change: (inout [ListenerConfiguration]) -> Void) -> ReloadPlan<AgentConfiguration> {
        var old = AgentConfiguration()
        for name in ["a", "b"] {
            var listener = ListenerConfiguration()
            listener.endpointID = name
            listener.addr = "1"
            old.listeners.append(listener)
        }
        var new = old
        change(&new.listeners)
        return ReloadPlan(from: old, to: new, keys: AgentConfiguration.keys)
    }

    @Test("reload: a listener's own keys are live, one by one")
    func listenerKeys() {
        let plan = listeners {
            $0[1].timeout = .seconds(1)
            $0[1].accessLog.disable = true
        }
        #expect(plan.applied.sorted() == ["listeners[1].access_log.disable", "listeners[1].timeout"])
        #expect(plan.needRestart.isEmpty)
        #expect(plan.configuration.listeners.map(\.timeout) == [.seconds(10), .seconds(1)])
    }

    @Test("reload: a listener that becomes another stays whole as it is; the others change")
    func listenerIdentity() {
        let plan = listeners {
            $0[0].timeout = .seconds(1)
            $0[1].timeout = .seconds(1)
            $0[1].addr = "2"
        }
        #expect(plan.applied == ["listeners[0].timeout"])
        #expect(plan.needRestart.sorted() == ["listeners[1].addr", "listeners[1].timeout"])
        #expect(plan.configuration.listeners.map(\.timeout) == [.seconds(1), .seconds(10)])
        #expect(plan.configuration.listeners[1].addr == "1")
    }

    @Test("reload: listeners that come and go need a restart")
    func listenerCount() {
        let plan = listeners {
            $0[0].timeout = .seconds(1)
            $0.removeLast()
        }
        #expect(plan.applied.isEmpty && plan.needRestart == ["listeners"])
        #expect(plan.configuration.listeners.count == 2)
    }

    @Test("reload: a list that is live as a whole is taken as a whole")
    func liveList() {
        let keys = [ConfigurationKey("ports", \ForwardConfiguration.ports, of: PortConfiguration.keys, empty: PortConfiguration(), "").live()]
        let old = ForwardConfiguration()
        var new = old
        new.ports = [PortConfiguration()]
        let plan = ReloadPlan(from: old, to: new, keys: keys)
        #expect(plan.applied == ["ports"] && plan.configuration == new)
    }

    @Test("configuration as text: every key once, defaults too, lists by index")
    func text() {
        var agent = AgentConfiguration()
        agent.listeners = [ListenerConfiguration(), ListenerConfiguration()]
        agent.listeners[1].endpointID = "b"
        let entries = ConfigurationText.entries(of: agent, AgentConfiguration.keys)
        #expect(Set(entries.map(\.key)).count == entries.count)
        #expect(entries.count == AgentConfiguration.keys.count - 1 + 2 * ListenerConfiguration.keys.count)
        #expect(entries.contains { $0.key == "listeners[1].endpoint_id" && $0.text == "b" })
        #expect(entries.contains { $0.key == "connect.timeout" && $0.text == "30s" })
    }

    @Test("configuration as text: no secret is in it, and it says that there is one")
    func secrets() {
        var server = ServerConfiguration()
        server.proxy.auth.hmacSecretKey = "s3cret"
        server.upstream.auth.rsaPublicKey = "s3cret"
        server.upstream.tenants = [TenantConfiguration()]
        server.upstream.tenants[0].auth.ecdsaPublicKey = "s3cret"
        let gossip = String(repeating: "7f", count: GossipSecret.size)
        server.cluster.gossip.keys = [GossipSecret(gossip)!]
        server.admin.auth.jwks.endpoint = "file:///keys"
        let entries = ConfigurationText.entries(of: server, ServerConfiguration.keys)
        #expect(!entries.contains { $0.text.contains("s3cret") || $0.text.contains(gossip) })
        #expect(entries.contains { $0.key == "admin.auth.jwks.endpoint" && $0.text == "file:///keys" })
        let masked = entries.filter { $0.text == "[redacted]" }.map(\.key)
        #expect(
            masked.sorted() == [
                "cluster.gossip.keys", "proxy.auth.hmac_secret_key", "upstream.auth.rsa_public_key", "upstream.tenants[0].auth.ecdsa_public_key",
            ])
        var agent = AgentConfiguration()
        agent.connect.token = "s3cret"
        agent.connect.proxyURL = OutboundProxy("http://user:s3cret@proxy:3128")
        #expect(!ConfigurationText.entries(of: agent, AgentConfiguration.keys).contains { $0.text.contains("s3cret") })
    }
}
