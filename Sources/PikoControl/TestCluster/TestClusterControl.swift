// SPDX-License-Identifier: MIT
// The control loop of a test cluster: looks after the nodes several times a second, does what the plan says, tells the balancer who serves.
// Loop-confined. It signals only processes that it has started itself.

import Glibc
import PikoCore
import PikoEngine

/// Everything of a test cluster that lives on the control loop.
final class TestClusterControl: EndingControl {
    private let loop: EventLoop
    private let log: Log
    private let roster: Roster
    private let turnstile: Turnstile
    private let signals: ProcessSignals
    private let launcher = Launcher()
    private var isOnItsOwn = false
    private var timer: Timer?
    private var configuration: TestClusterConfiguration
    private var plan: LocalClusterPlan
    private var nodes: [Int: LocalNode] = [:]

    /// Milliseconds between two looks.
    private static let interval: UInt64 = 200
    /// What a node may take beyond its grace period.
    private static let slack: UInt64 = 5_000

    init(
        _ configuration: TestClusterConfiguration, roster: Roster, log: Log, turnstile: Turnstile, on loop: EventLoop
    ) throws(EngineError) {
        self.loop = loop
        self.log = log
        self.roster = roster
        self.turnstile = turnstile
        self.configuration = configuration
        signals = try ProcessSignals(on: loop, turnstile: turnstile)
        // Inherited as ignored, it would have the system collect the nodes.
        signal(SIGCHLD, SIG_DFL)
        plan = LocalClusterPlan(
            nodes: configuration.nodes, churn: configuration.churn.interval.wholeMilliseconds,
            grace: configuration.gracePeriod.wholeMilliseconds &+ Self.slack, now: loop.now)
        timer = Timer(on: loop) { [unowned self] in look() }
    }

    /// Starts the nodes, and looks after them from now on.
    func start() { look() }

    /// Has as many nodes, replaced as often, as this says; all else of it is for nodes to come.
    func configure(_ configuration: TestClusterConfiguration) {
        self.configuration = configuration
        plan.configure(nodes: configuration.nodes, churn: configuration.churn.interval.wholeMilliseconds, now: loop.now)
        look()
    }

    /// Stops all nodes, gently.
    func stopAll() {
        plan.stopAll()
        look()
    }

    var isEnded: Bool { nodes.isEmpty }

    /// Ends everything at once; what still runs is killed.
    func end() {
        signals.end()
        timer = nil
        for node in nodes.values {
            node.forget()
            node.process.signal(SIGKILL)
            _ = node.process.collect(waiting: true)
        }
        nodes = [:]
    }

    private func look() {
        stopIfAlone()
        collect()
        for step in plan.tick(now: loop.now) { carryOut(step) }
        for node in nodes.values { ask(node) }
        publish()
        timer?.arm(Self.interval)
    }

    /// Nobody is there any more who could stop it.
    private func stopIfAlone() {
        guard !isOnItsOwn, launcher.hasGone else { return }
        isOnItsOwn = true
        log.info("whoever started this cluster is gone")
        turnstile.signalled()
    }

    private func ask(_ node: LocalNode) {
        node.askReady(on: loop) { [weak self] isReady in
            guard let self else { return }
            plan.setReady(node.number, isReady)
            publish()
        }
    }

    private func publish() { roster.set(plan.serving.compactMap { nodes[$0]?.ports }) }

    private func collect() {
        for node in Array(nodes.values) {
            guard let status = node.process.collect() else { continue }
            node.forget()
            nodes[node.number] = nil
            let wasToEnd = plan.ended(node.number, now: loop.now)
            log.write(wasToEnd && status == 0 ? .info : .warn, "node ended") {
                $0.add("node_id", LocalNode.id(node.number))
                $0.add("status", status)
            }
            if nodes.isEmpty { turnstile.wake() }
        }
    }

    private func carryOut(_ step: LocalClusterStep) {
        switch step {
        case .start(let number): start(number)
        case .stop(let number):
            // First nobody sends it anything new.
            publish()
            log.info("stopping node") { $0.add("node_id", LocalNode.id(number)) }
            nodes[number]?.process.signal(SIGTERM)
        case .kill(let number):
            log.warn("killing node") { $0.add("node_id", LocalNode.id(number)) }
            nodes[number]?.process.signal(SIGKILL)
        }
    }

    private func start(_ number: Int) {
        let seeds = nodes.values.sorted { $0.number < $1.number }.map(\.ports.gossip)
        do throws(EngineError) {
            let node = try LocalNode(number, joining: seeds, configuration, on: loop)
            nodes[number] = node
            log.info("node started") {
                $0.add("node_id", LocalNode.id(number))
                $0.add("pid", node.process.id)
                $0.add("proxy_addr", node.ports.proxy.description)
                $0.add("upstream_addr", node.ports.upstream.description)
                $0.add("admin_addr", node.ports.admin.description)
            }
        } catch {
            plan.ended(number, now: loop.now)
            log.error("node not started") { $0.add("error", error.description) }
        }
    }
}
