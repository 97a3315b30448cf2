// SPDX-License-Identifier: MIT
// The worker loops of a process and what each owns. Made, started and ended by the main thread; the states live on their loops.
// It decides nothing about what runs there.

import PikoEngine

/// N loops, each with a state of its own. Any thread may name a member; only its loop may touch the state.
public final class LoopGroup<State>: Sendable {
    public let members: [LoopBound<State>]

    /// Starts `count` loops (0: one for each core).
    public init(count: Int, name: String) throws(EngineError) {
        let count = count > 0 ? count : EventLoop.processorCount
        var members: [LoopBound<State>] = []
        for index in 0..<count {
            let loop = try EventLoop(name: "\(name)-\(index)")
            try loop.start()
            members.append(LoopBound(on: loop))
        }
        self.members = members
    }

    public var count: Int { members.count }

    /// Runs `body` with each state in turn and gathers the answers. Main thread only. Loops without a state answer nothing.
    public func sync<Answer: Sendable>(_ body: @escaping @Sendable (State) -> Answer) -> [Answer] {
        members.compactMap { $0.sync(body) }
    }

    /// Runs `body` with each state, some time soon. Any thread.
    public func post(_ body: @escaping @Sendable (State) -> Void) {
        for member in members { member.post(body) }
    }

    /// Drops the states, ends the loops and waits for them. Main thread only. Whatever lives there must be closing already.
    /// - Returns: the counters of each loop at its end; all zero unless something leaked.
    public func end() -> [EngineCounts] {
        for member in members {
            _ = member.loop.sync { member.value = nil }
            member.loop.stop()
        }
        return members.map { $0.loop.join() }
    }
}
