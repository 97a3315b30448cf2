// SPDX-License-Identifier: MIT
// `piko test cluster`: nodes of this same program on loopback, and a balancer in front of them. Runs on the main thread; what it starts lives
// on loops and in child processes, and is gone when `run` returns.

import PikoCore
import PikoEngine

/// The test cluster command.
public final class TestClusterProcess {
    /// Of the environment of a node: the process whose end is its own.
    public static let parentVariable = ChildProcess.parentVariable

    private let live: LiveConfiguration<TestClusterConfiguration>
    /// At the start.
    private let configuration: TestClusterConfiguration
    private let log: Log
    private let turnstile = Turnstile()
    private let roster = Roster()

    public init(configuration: LiveConfiguration<TestClusterConfiguration>) {
        live = configuration
        self.configuration = configuration.current
        log = configuration.log.named("cluster")
    }

    /// Blocks until SIGTERM or SIGINT; 0 then. 1 when a port could not be listened at.
    public func run() -> Int32 {
        let frame = ProcessFrame<BalancerLoop, TestClusterControl>(
            failed: "test cluster failed", log: log, gracePeriod: { [live] in live.current.gracePeriod }, turnstile: turnstile)
        return frame.status {
            live.show()
            let loops = try LoopGroup<BalancerLoop>(count: 1, name: "balancer")
            return try frame.serve(on: loops, tls: TLSStore(log: log), control: makeControl) { face in
                try start(loops)
                _ = face.sync { $0.start() }
            } reload: { face in
                live.reload { plan in
                    let configuration = plan.configuration
                    face.post { $0.configure(configuration) }
                }
            } drain: { face in
                loops.post { $0.drain() }
                _ = face.sync { $0.stopAll() }
                frame.finish(loops)
                // The nodes end by themselves, or are killed by the plan; a second signal leaves that to the control's end.
                _ = turnstile.wait { [turnstile] in turnstile.signalCount > 1 || face.sync { $0.isEnded } ?? true }
            }
        }
    }

    private var makeControl: @Sendable (EventLoop) throws(EngineError) -> TestClusterControl {
        let (configuration, log, turnstile, roster) = (configuration, log, turnstile, roster)
        return { loop throws(EngineError) in
            try TestClusterControl(configuration, roster: roster, log: log, turnstile: turnstile, on: loop)
        }
    }

    private func start(_ loops: LoopGroup<BalancerLoop>) throws {
        let (turnstile, roster) = (turnstile, roster)
        for member in loops.members {
            member.loop.sync { member.value = BalancerLoop(loop: member.loop, roster: roster, turnstile: turnstile) }
        }
        try listen(.proxy, configuration.proxy, "proxy.bind_addr", loops)
        try listen(.upstream, configuration.upstream, "upstream.bind_addr", loops)
        try listen(.admin, configuration.admin, "admin.bind_addr", loops)
        log.info("cluster started") {
            $0.add("nodes", configuration.nodes)
            $0.add("proxy_addr", configuration.proxy.bindAddr.description)
            $0.add("upstream_addr", configuration.upstream.bindAddr.description)
            $0.add("admin_addr", configuration.admin.bindAddr.description)
        }
    }

    private func listen(
        _ port: BalancedPort, _ configuration: BalancerConfiguration, _ key: String, _ loops: LoopGroup<BalancerLoop>
    ) throws(BindFailure) {
        try Binding.listen(at: configuration.bindAddr, key: key, on: loops) { state, address throws(EngineError) in
            try state.listen(at: address, for: port)
        }
    }
}
