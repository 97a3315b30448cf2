// SPDX-License-Identifier: MIT
// The configuration and keys of `piko test cluster`.
// Plain values with the documented defaults.

/// Everything `piko test cluster` can be told.
public struct TestClusterConfiguration: Equatable, Sendable {
    public var nodes = 3
    public var churn = ChurnConfiguration()
    /// Where its balancer listens.
    public var proxy = BalancerConfiguration(port: 8000)
    public var upstream = BalancerConfiguration(port: 8001)
    public var admin = BalancerConfiguration(port: 8002)
    /// Of each node.
    public var engine = EngineConfiguration()
    public var log = LogConfiguration()
    public var gracePeriod: Duration = .seconds(60)

    public init() { engine.loops = 1 }

    public static var keys: [ConfigurationKey<Self>] {
        let own: [ConfigurationKey<Self>] = [.init("nodes", \.nodes, .integer(1...100), "Nodes of the cluster.")]
        return own.live()
            + churnKeys.live().under("churn", \.churn)
            + balancer("clients", "a node's proxy port").under("proxy", \.proxy)
            + balancer("agents", "a node's upstream port").under("upstream", \.upstream)
            + balancer("metrics, health and status", "a node's admin port").under("admin", \.admin)
            + SharedKeys.engine.under("engine", \.engine)
            + SharedKeys.log.under("log", \.log)
            + [SharedKeys.gracePeriod(\.gracePeriod)]
    }

    private static var churnKeys: [ConfigurationKey<ChurnConfiguration>] {
        [.init("interval", \.interval, .duration, "How often the oldest node is replaced by a new one. 0: never.")]
    }

    private static func balancer(_ who: String, _ port: String) -> [ConfigurationKey<BalancerConfiguration>] {
        [.init("bind_addr", \.bindAddr, .address, "Where to listen for \(who); each connection goes to \(port), in turn.")]
    }
}

/// How often nodes come and go.
public struct ChurnConfiguration: Equatable, Sendable {
    public var interval: Duration = .zero
}

/// One port of the balancer.
public struct BalancerConfiguration: Equatable, Sendable {
    public var bindAddr: HostPort

    init(port: UInt16) { bindAddr = HostPort(host: "127.0.0.1", port: port) }
}
