// SPDX-License-Identifier: MIT
// Asks every loop of a group for something and hands all answers over together.
// Begun and ended on one loop; the others answer by mail.

import PikoEngine

/// Answers on their way from the loops of a group. Loop-confined to the loop that asked.
final class Gathering<Part: Sendable> {
    private var parts: [Part] = []
    private var missing: Int
    private let completion: ([Part]) -> Void

    private init(missing: Int, completion: @escaping ([Part]) -> Void) {
        self.missing = missing
        self.completion = completion
    }

    /// `completion` runs once on `loop`, in a later turn, unless a loop of the group has ended meanwhile.
    static func start<State>(
        from group: LoopGroup<State>, to loop: EventLoop, ask: @escaping @Sendable (State) -> Part,
        completion: @escaping ([Part]) -> Void
    ) {
        let sum = LoopBound<Gathering<Part>>(on: loop)
        sum.value = Gathering(missing: group.count, completion: completion)
        group.post { state in
            let part = ask(state)
            sum.post { $0.add(part) }
        }
    }

    private func add(_ part: Part) {
        parts.append(part)
        missing -= 1
        if missing == 0 { completion(parts) }
    }
}
