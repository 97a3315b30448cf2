// SPDX-License-Identifier: MIT
// How many connections of agents may be on their way to become tunnels.
// No sockets, and a clock of the test's own.

import Testing

@testable import PikoControl

@Suite struct UnfinishedDialsTests {
    private final class Stage {
        let dials: UnfinishedDials
        var aborted: [Int] = []
        var numbers: [UInt64] = []

        init(limit: Int) { dials = UnfinishedDials(limit: limit) }

        func enter(_ name: Int, at now: UInt64) {
            numbers.append(dials.enter(at: now) { [unowned self] in aborted.append(name) })
        }
    }

    @Test("dials: up to the limit there is room, and nobody is ended for it")
    func free() {
        let stage = Stage(limit: 3)
        for name in 0..<3 {
            #expect(stage.dials.room(at: 90_000) == .free)
            stage.enter(name, at: 0)
        }
        #expect(stage.aborted.isEmpty && stage.dials.count == 3)
    }

    @Test("dials: at the limit one that has just come makes no room")
    func grace() {
        let stage = Stage(limit: 2)
        for name in 0..<2 { stage.enter(name, at: 1000) }
        #expect(stage.dials.room(at: 2999) == .none)
        #expect(stage.aborted.isEmpty && stage.dials.count == 2)
    }

    @Test("dials: at the limit the oldest that had its time makes room, one after the other")
    func oldest() {
        let stage = Stage(limit: 2)
        for name in 0..<2 { stage.enter(name, at: UInt64(name)) }
        for name in 2..<5 {
            #expect(stage.dials.room(at: UInt64(2000 * name)) == .made)
            stage.enter(name, at: UInt64(2000 * name))
        }
        #expect(stage.aborted == [0, 1, 2] && stage.dials.count == 2)
    }

    @Test("dials: who has left makes room, and is not ended")
    func left() {
        let stage = Stage(limit: 2)
        for name in 0..<2 { stage.enter(name, at: 0) }
        stage.dials.leave(stage.numbers[0])
        #expect(stage.dials.room(at: 9000) == .free)
        stage.enter(2, at: 9000)
        #expect(stage.dials.room(at: 9000) == .made)
        #expect(stage.aborted == [1])
    }

    @Test("dials: the last one that leaves is told of, once")
    func empty() {
        let stage = Stage(limit: 2)
        var count = 0
        stage.dials.onEmpty = { count += 1 }
        for name in 0..<2 { stage.enter(name, at: 0) }
        for number in stage.numbers + stage.numbers { stage.dials.leave(number) }
        #expect(count == 1 && stage.dials.count == 0)
    }
}
