// SPDX-License-Identifier: MIT
// A server node's leaving: asks the DrainPlan what is due and has the loops do it. Main thread, from the signal to the last tunnel's end.
// When what happens is the plan's matter.

import PikoCore
import PikoEngine

/// Ends what runs on a node without losing anything that can finish within the grace period.
struct ServerDrain {
    let node: ServerNode
    let control: LoopBound<ControlLoop>
    let frame: ProcessFrame<ServerLoop, ControlLoop>

    /// Milliseconds between looks; whatever ends wakes it earlier.
    private static let interval = 50

    private var log: Log { frame.log }

    /// Blocks until everything has ended.
    func run() {
        node.isReady.store(false, ordering: .sequentiallyConsistent)
        let gracePeriod = frame.gracePeriod()
        log.info("stopping") { $0.add("grace_period", gracePeriod.configured) }
        let began = Self.now
        node.loops.post { $0.drain() }
        let grace = frame.turnstile.hasFailed ? 0 : gracePeriod.wholeMilliseconds
        var plan = DrainPlan(grace: grace, now: began, arrivals: load().arrivals)
        while true {
            let load = load()
            for step in plan.look(at: counts(load), now: Self.now) {
                carryOut(step, load)
                if step == .end { return }
            }
            frame.turnstile.rest(atMost: Self.interval)
        }
    }

    private static var now: UInt64 { EventLoop.nanoseconds / 1_000_000 }

    private func load() -> ServerLoad {
        node.loops.sync { $0.load }.reduce(into: ServerLoad()) { $0.add($1) }
    }

    private func counts(_ load: ServerLoad) -> DrainCounts {
        var counts = DrainCounts()
        counts.arrivals = load.arrivals
        counts.clients = load.clients
        counts.listed = node.registry.tunnelCount
        counts.stuck = node.listeners.tunnels(refused: DrainPlan.refusals).count(where: node.registry.isListed)
        counts.tunnels = load.tunnels
        counts.otherNodes = node.otherNodes.count
        counts.isUrged = frame.turnstile.signalCount > 1
        counts.hasLeft = node.hasLeft.load(ordering: .sequentiallyConsistent)
        return counts
    }

    private func carryOut(_ step: DrainStep, _ load: ServerLoad) {
        switch step {
        case .retireOriginals: node.loops.post { $0.retireOriginals() }
        case .stopListening:
            node.loops.post { $0.stopListening() }
            log.info("ports closed") {
                $0.add("clients", load.clients)
                $0.add("upstreams", load.tunnels)
            }
        case .leave: leave()
        case .end:
            if load.clients > 0 { report(load) }
            frame.end(node.loops)
        }
    }

    private func leave() {
        log.info("leaving the cluster")
        control.post { [node] in
            $0.leave {
                node.hasLeft.store(true, ordering: .sequentiallyConsistent)
                node.turnstile.wake()
            }
        }
    }

    /// What does not finish any more.
    private func report(_ load: ServerLoad) {
        log.warn(frame.turnstile.signalCount > 1 ? "stopped at once" : "grace period is over") {
            $0.add("cut", load.clients)
            $0.add("requests", load.requests)
            $0.add("upgrades", load.upgrades)
            $0.add("tcp", load.relays)
            $0.add("idle", load.idle)
        }
    }
}
