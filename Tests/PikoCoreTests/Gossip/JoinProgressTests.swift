// SPDX-License-Identifier: MIT
// When a node that starts may say that it is ready, and when it must give up.
// No sockets; the time is made up.

import PikoCore
import Testing

@Suite struct JoinProgressTests {
    private func progress() -> JoinProgress { JoinProgress(hasSeeds: true, timeout: 60_000, now: 1_000) }

    @Test("no seeds: ready at once, and never failed")
    func alone() {
        var progress = JoinProgress(hasSeeds: false, timeout: 10, now: 0)
        #expect(progress.isReady)
        progress.judge(1_000_000)
        #expect(progress.outcome == .found)
    }

    @Test("seeds that do not answer: not ready, failed when the time is over, and not before")
    func silence() {
        var progress = progress()
        progress.resolved(others: ["a:1"], isListed: false, isComplete: true, now: 1_001)
        progress.missed("a:1", now: 2_000)
        progress.judge(60_999)
        #expect(progress.outcome == .searching && !progress.isReady)
        progress.judge(61_000)
        #expect(progress.outcome == .failed && !progress.isReady)
        progress.joined()
        #expect(progress.outcome == .failed)
    }

    @Test("a resolver that is slow or out of order says nothing: not ready alone until it has answered")
    func slowResolver() {
        var progress = progress()
        progress.resolved(others: [], isListed: false, isComplete: false, now: 2_000)
        #expect(!progress.isReady && progress.outcome == .searching)
        progress.resolved(others: [], isListed: false, isComplete: true, now: 3_000)
        #expect(progress.isReady)
        var listed = self.progress()
        listed.resolved(others: [], isListed: true, isComplete: false, now: 2_000)
        listed.judge(10_999)
        #expect(!listed.isReady)
        listed.judge(11_000)  // whoever is listed does not wait for ever
        #expect(listed.isReady && listed.outcome == .found)
    }

    @Test("a seed answers: ready")
    func joined() {
        var progress = progress()
        progress.joined()
        #expect(progress.isReady && progress.outcome == .found)
        progress.judge(100_000)
        #expect(progress.outcome == .found)
    }

    @Test("only this node is listed: it is the first")
    func first() {
        var progress = progress()
        progress.resolved(others: [], isListed: true, isComplete: true, now: 1_001)
        #expect(progress.isReady && progress.outcome == .found)
    }

    @Test("this node and others are listed: the others are waited for until all were missed, or for a while")
    func several() {
        var missed = progress()
        missed.resolved(others: ["a:1", "b:1"], isListed: true, isComplete: true, now: 1_001)
        missed.missed("a:1", now: 1_002)
        #expect(!missed.isReady)
        missed.missed("b:1", now: 1_003)
        #expect(missed.isReady && missed.outcome == .found)
        var silent = progress()
        silent.resolved(others: ["a:1"], isListed: true, isComplete: true, now: 1_001)
        silent.judge(1_000 + JoinProgress.patience - 1)
        #expect(!silent.isReady)
        silent.judge(1_000 + JoinProgress.patience)
        #expect(silent.isReady && silent.outcome == .found)
    }

    @Test("names that resolve to nobody: ready, for some list a node only then, and failed when it stays so")
    func nobody() {
        var progress = progress()
        progress.resolved(others: [], isListed: false, isComplete: true, now: 1_001)
        #expect(progress.isReady && progress.outcome == .searching)
        progress.judge(61_000)
        #expect(progress.outcome == .failed)
    }
}
