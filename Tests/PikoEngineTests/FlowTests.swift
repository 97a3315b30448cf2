// SPDX-License-Identifier: MIT
// Flows between TCP connections: framing, what stays behind the end, truncation, back-pressure.
// Real sockets on loopback; scripts run on the loops' threads.

import PikoEngine
import Testing

@Suite struct FlowTests {
    /// Two pairs on one loop: what the left client writes flows from the left server to the right client's peer.
    private final class Chain: FlowHandler {
        let left = (client: Script(), server: Script())
        let right = (client: Script(), server: Script())
        var flow: Flow?
        var ends: [FlowEnd] = []
        var onFlowEnd: (Chain) -> Void = { _ in }
        var pairs: (left: Pair, right: Pair)?
        let done: Signal

        init(done: Signal) {
            self.done = done
            for script in [left.client, left.server, right.client, right.server] {
                script.onClose = { [done] _ in done.fire() }
            }
        }

        func start(on loop: EventLoop, framing: FlowFraming, _ body: @escaping (Chain) -> Void) {
            try! Pair.make(on: loop, client: left.client, server: left.server) { leftPair in
                try! Pair.make(on: loop, client: self.right.client, server: self.right.server) { rightPair in
                    self.pairs = (leftPair, rightPair)
                    self.flow = Flow.start(from: leftPair.server, to: rightPair.client, framing: framing, tag: 7, handler: self)
                    leftPair.client.startReading()
                    rightPair.server.startReading()
                    body(self)
                }
            }
        }

        func flowDidEnd(tag: Int, end: FlowEnd, bytes: UInt64) {
            ends.append(end)
            flow = nil
            onFlowEnd(self)
        }

        func closeAll() {
            guard let pairs else { return }
            for end in [pairs.left.client, pairs.left.server, pairs.right.client, pairs.right.server] { end.close() }
            self.pairs = nil
        }
    }

    @Test("length: the flow ends behind the message, what follows stays with the source")
    func length() throws {
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let chain = Chain(done: done)
                func note(_ text: String) {
                    seen.text += text
                    if seen.text.utf8.count == "hello|NEXT".utf8.count { chain.closeAll() }
                }
                chain.right.server.onRead = { note(text($1)); return $1.count }
                chain.left.server.onRead = { note("|" + text($1)); return $1.count }
                chain.onFlowEnd = { $0.pairs?.left.server.startReading() }
                chain.start(on: loops[0], framing: .length(5)) { $0.pairs?.left.client.write("helloNEXT") }
            }
            #expect(done.wait(4))
            #expect(seen.text.contains("hello") && seen.text.contains("|NEXT"))
        }
    }

    @Test("chunked: passed on byte for byte up to the end of the trailers")
    func chunked() throws {
        let body = "5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let chain = Chain(done: done)
                chain.right.server.onRead = {
                    seen.text += text($1)
                    if seen.text == body { chain.closeAll() }
                    return $1.count
                }
                chain.onFlowEnd = { seen.numbers.append($0.ends == [.complete] ? 1 : 0) }
                chain.start(on: loops[0], framing: .chunked) { $0.pairs?.left.client.write(body) }
            }
            #expect(done.wait(4))
            #expect(seen.text == body)
            #expect(seen.numbers == [1])
        }
    }

    @Test("truncation: an end before the framed end is an error, not an end")
    func truncated() throws {
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let chain = Chain(done: done)
                chain.onFlowEnd = {
                    seen.numbers.append($0.ends == [.sourceBroke(.truncated)] ? 1 : 0)
                    $0.closeAll()
                }
                chain.start(on: loops[0], framing: .length(100)) {
                    $0.pairs?.left.client.write("only this")
                    $0.pairs?.left.client.shut()
                }
            }
            #expect(done.wait(4))
            #expect(seen.numbers == [1])
        }
    }

    @Test("chunk sizes: a broken one ends the flow as a bad body")
    func badChunk() throws {
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let chain = Chain(done: done)
                chain.onFlowEnd = {
                    if case .badBody = $0.ends[0] { seen.numbers.append(1) }
                    $0.closeAll()
                }
                chain.start(on: loops[0], framing: .chunked) { $0.pairs?.left.client.write("-5\r\nhello\r\n") }
            }
            #expect(done.wait(4))
            #expect(seen.numbers == [1])
        }
    }

    @Test("back-pressure: a sink that does not read stops the source within the queue's bound")
    func backPressure() throws {
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let chain = Chain(done: done)
                let chunk = [UInt8](repeating: 7, count: 64 * 1024)
                chain.start(on: loops[0], framing: .untilEnd) { chain in
                    guard let pairs = chain.pairs else { return }
                    pairs.right.server.stopReading()
                    for _ in 0..<256 { chunk.withUnsafeBytes { _ = pairs.left.client.write($0) } }
                    let watch = Box<Timer>()
                    var last: (queued: Int, same: Int) = (-1, 0)
                    watch.value = Timer(on: loops[0]) {
                        let queued = pairs.right.client.queued
                        last = (queued, queued == last.queued && queued > 0 ? last.same + 1 : 0)
                        guard last.same >= 20 else { watch.value?.arm(5); return }
                        seen.numbers.append(queued)
                        watch.value = nil
                        chain.flow?.stop()
                        for end in [pairs.left.client, pairs.left.server, pairs.right.client, pairs.right.server] { end.abort() }
                    }
                    watch.value?.arm(5)
                }
            }
            #expect(done.wait(4))
            #expect(seen.numbers.count == 1)
            #expect(seen.numbers.allSatisfy { $0 > 0 && $0 <= 256 * 1024 + 256 * 1024 })
        }
    }
}
