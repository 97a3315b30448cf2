// SPDX-License-Identifier: MIT
// The agent's part of one loop: its listeners' tunnels. Loop-confined. Starts and ends them; what a stream carries is its listener's matter.

import PikoClient
import PikoCore
import PikoEngine

/// Everything of an agent that lives on one loop.
final class AgentLoop {
    let loop: EventLoop
    let configuration: AgentConfiguration
    let log: Log
    /// Streams under way.
    let residents = Residents()
    private let turnstile: Turnstile
    private var listeners: [AgentListener] = []
    private var openTunnels = 0

    init(loop: EventLoop, configuration: AgentConfiguration, log: Log, turnstile: Turnstile) {
        self.loop = loop
        self.configuration = configuration
        self.log = log
        self.turnstile = turnstile
        residents.onEmpty = { turnstile.wake() }
    }

    /// Opens a listener's tunnel and keeps it open.
    func start(_ configuration: ListenerConfiguration) {
        let listener = AgentListener(configuration, owner: self)
        listeners.append(listener)
        openTunnels += 1
        listener.start()
    }

    /// Takes no new streams; those open go on.
    func drain() {
        for listener in listeners { listener.drain() }
    }

    /// Streams that are open.
    var busyCount: Int { listeners.reduce(residents.count) { $0 + $1.streamCount } }

    /// Cuts what is left and ends the tunnels.
    func end() {
        residents.abortAll()
        for listener in listeners { listener.end() }
    }

    /// Nothing is left on the loop but the state itself.
    var isEnded: Bool { openTunnels == 0 && residents.count == 0 }

    func tunnelDidEnd() {
        openTunnels -= 1
        turnstile.wake()
    }

    func streamDidEnd() { turnstile.wake() }

    /// The first dial of a listener failed for good: the process ends.
    func fail() { turnstile.fail() }
}
