// SPDX-License-Identifier: MIT
// Loops, mailboxes and timers.
// Real loops on threads of their own; a test waits for signals, never for time.

import Dispatch
import PikoEngine
import Testing

@Suite struct EventLoopTests {
    @Test("mailbox: letters of one thread arrive in order, none is lost")
    func order() throws {
        try withLoops { loops in
            let loop = loops[0]
            let seen = Seen()
            let done = Signal()
            DispatchQueue.concurrentPerform(iterations: 4) { thread in
                for number in 0..<5000 { loop.post { seen.numbers.append(thread * 10_000 + number) } }
            }
            loop.post { done.fire() }
            #expect(done.wait())
            #expect(seen.numbers.count == 20_000)
            for thread in 0..<4 {
                let own = seen.numbers.filter { $0 / 10_000 == thread }
                #expect(own == own.sorted())
            }
        }
    }

    @Test("sync: gives the answer of the loop's own thread")
    func sync() throws {
        try withLoops { loops in
            let loop = loops[0]
            #expect(loop.sync { loop.isCurrent } == true)
            #expect(!loop.isCurrent)
        }
    }

    @Test("timer: fires once for each arming, and never after it is gone")
    func timers() throws {
        try withLoops { loops in
            let loop = loops[0]
            let done = Signal()
            let seen = Seen()
            loop.post {
                var first: Timer?
                var second: Timer?
                first = Timer(on: loop) {
                    seen.numbers.append(1)
                    first = nil
                    second?.arm(1)
                }
                let dropped = Timer(on: loop) { seen.numbers.append(99) }
                dropped.arm(1)
                dropped.disarm()
                second = Timer(on: loop) {
                    seen.numbers.append(2)
                    second = nil
                    _ = dropped
                    done.fire()
                }
                first?.arm(5)
                first?.arm(1)
            }
            #expect(done.wait())
            #expect(loop.sync { seen.numbers } == [1, 2])
        }
    }

    @Test("counts: what lives on a loop is counted while it lives")
    func counts() throws {
        try withLoops { loops in
            let loop = loops[0]
            let during = loop.sync { () -> EngineCounts in
                let timer = Timer(on: loop) {}
                defer { withExtendedLifetime(timer) {} }
                return loop.counts
            }
            #expect(during?.timers == 1)
        }
    }
}
