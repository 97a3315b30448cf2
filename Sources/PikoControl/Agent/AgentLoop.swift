// SPDX-License-Identifier: MIT
// The agent's part of one loop: its listeners' tunnels.
// Loop-confined. Starts and ends them; what a stream carries is its listener's matter.

import PikoClient
import PikoCore
import PikoEngine

/// Everything of an agent that lives on one loop.
final class AgentLoop: EndingLoop {
    let loop: EventLoop
    /// Of the loop within the process.
    let index: Int
    private(set) var configuration: AgentConfiguration
    /// What long heads may take, in the whole process.
    let heads: ByteBudget
    let tls: AgentTLS
    let log: Log
    /// Streams under way.
    let residents = Residents()
    private let turnstile: Turnstile
    private var listeners: [AgentListener] = []
    private var openListeners = 0
    private var isDraining = false
    /// By endpoint.
    private(set) var metrics: [String: ProxyMetrics] = [:]
    var faults = AgentFaults()

    init(
        loop: EventLoop, index: Int, configuration: AgentConfiguration, heads: ByteBudget, tls: AgentTLS, log: Log, turnstile: Turnstile
    ) {
        self.heads = heads
        self.tls = tls
        self.loop = loop
        self.index = index
        self.configuration = configuration
        self.log = log
        self.turnstile = turnstile
        residents.onEmpty = { turnstile.wake() }
    }

    /// What is new in the configuration holds for what begins from now on.
    func configure(_ configuration: AgentConfiguration) {
        self.configuration = configuration
        for listener in listeners { listener.configure(configuration.listeners[listener.place]) }
    }

    /// Opens a listener's tunnels and keeps them open. `place`: its index in the configuration.
    func start(_ configuration: ListenerConfiguration, at place: Int) {
        let listener = AgentListener(configuration, at: place, owner: self)
        listeners.append(listener)
        openListeners += 1
        listener.start()
    }

    /// The counters of an endpoint's listeners on this loop.
    func metrics(for endpoint: String) -> ProxyMetrics {
        let counters = metrics[endpoint] ?? ProxyMetrics()
        metrics[endpoint] = counters
        return counters
    }

    /// Takes no new streams; those open go on.
    func drain() {
        isDraining = true
        for listener in listeners { listener.drain() }
    }

    /// Streams that are open, and tunnels on which one may still come.
    var busyCount: Int { listeners.reduce(residents.count) { $0 + $1.busyCount } }

    /// Cuts what is left and ends the tunnels.
    func end() {
        residents.abortAll()
        for listener in listeners { listener.end() }
    }

    /// Cuts what did not end by itself.
    func cut() {
        residents.abortAll()
        for listener in listeners { listener.cut() }
    }

    /// Nothing is left on the loop but the state itself.
    var isEnded: Bool { openListeners == 0 && busyCount == 0 }

    func listenerDidEnd() {
        openListeners -= 1
        turnstile.wake()
    }

    /// Waking the main thread costs a system call, so only while it waits for this. The stream that ends is still counted here.
    func streamDidEnd() {
        if isDraining { turnstile.wake() }
    }

    /// The first dial of a listener failed for good: the process ends.
    func fail() { turnstile.fail() }
}
