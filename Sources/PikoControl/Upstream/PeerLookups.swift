// SPDX-License-Identifier: MIT
// Look-ups of the names that other nodes advertise: a few at once in the whole process, so that slow ones leave the system's resolver to those
// that requests wait for. Any thread; each answer comes on the loop that asked.

import PikoEngine
import Synchronization

/// The process's look-ups of peers' names.
final class PeerLookups: Sendable {
    /// Of the eight that the engine does at once.
    private static let most = 4
    private let underWay = Atomic<Int>(0)

    /// False: too many are under way, ask again later; the completion does not run.
    func resolve(host: String, port: UInt16, on loop: EventLoop, completion: @escaping Resolver.Completion) -> Bool {
        guard underWay.add(1, ordering: .relaxed).newValue <= Self.most else {
            underWay.subtract(1, ordering: .relaxed)
            return false
        }
        Resolver.resolve(host: host, port: port, on: loop) { [self] in
            underWay.subtract(1, ordering: .relaxed)
            completion($0)
        }
        return true
    }
}
