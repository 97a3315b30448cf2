// SPDX-License-Identifier: MIT
// Original agents' tunnels that are to go: not selected any more, ended when their last stream has ended or their time is over.
// Loop-confined. Looked at every now and then, while there are any.

import PikoEngine

/// The tunnels of a loop whose agents cannot be told to move.
final class Departures {
    /// Milliseconds between looks.
    private static let interval: UInt64 = 20

    private let loop: EventLoop
    private var leaving: [(tunnel: ServerTunnel, until: UInt64)] = []
    private var timer: Timer?

    init(on loop: EventLoop) { self.loop = loop }

    /// Takes a tunnel out of the selection. Each is added once.
    /// - Parameter patience: milliseconds for what runs on it; `.max`: as long as it takes.
    func add(_ tunnel: ServerTunnel, patience: UInt64) {
        guard !leaving.contains(where: { $0.tunnel === tunnel }) else { return }
        tunnel.retire()
        let (until, overflows) = loop.now.addingReportingOverflow(patience)
        leaving.append((tunnel, overflows ? .max : until))
        if leaving.count == 1 { arm(0) }
    }

    private func arm(_ milliseconds: UInt64) {
        let timer = timer ?? Timer(on: loop) { [unowned self] in look() }
        self.timer = timer
        timer.arm(milliseconds)
    }

    private func look() {
        let now = loop.now
        leaving.removeAll { tunnel, until in
            guard tunnel.streamCount == 0 || until <= now else { return false }
            tunnel.end()
            return true
        }
        if !leaving.isEmpty { arm(Self.interval) }
    }
}
