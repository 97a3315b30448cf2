// SPDX-License-Identifier: MIT
// Levels, subsystems, drops and bounds of the log, and the bridge from swift-log.
// Sinks are in memory, but for one test of a pipe.

import Glibc
import Logging
import PikoCore
import Testing
@testable import PikoControl

struct LoggingTests {
    @Test("log: lines below the level are not written, and their fields not built")
    func level() {
        let capture = LoggingCapture()
        var configuration = LogConfiguration()
        configuration.level = .warn
        let log = Log(sink: capture.sink(configuration))
        var built = 0
        log.debug("d") { _ in built += 1 }
        log.info("i") { _ in built += 1 }
        log.warn("w") { _ in built += 1 }
        log.error("e") { _ in built += 1 }
        #expect(capture.lines.count == 2)
        #expect(built == 2)
    }

    @Test("log: a named subsystem logs everything, others do not")
    func subsystems() {
        let capture = LoggingCapture()
        var configuration = LogConfiguration()
        configuration.level = .error
        configuration.subsystems = ["gossip"]
        let log = Log(sink: capture.sink(configuration))
        log.named("gossip").debug("one")
        log.named("gossip.inner").debug("two")
        log.info("three")
        #expect(capture.lines.count == 1)
        #expect(capture.lines.first?.contains(#""subsystem":"gossip","msg":"one""#) == true)
    }

    @Test("log: lines that cannot be written are counted, and the next one says how many")
    func drops() throws {
        let capture = LoggingCapture()
        let sink = capture.sink()
        let log = Log(sink: sink)
        capture.fill(true)
        for _ in 0..<3 { log.info("lost") }
        capture.fill(false)
        log.info("kept")
        log.info("kept")
        let objects = try capture.objects()
        #expect(objects.map { $0["msg"] as? String } == ["log lines dropped", "kept", "kept"])
        #expect(objects.first?["dropped"] as? Int == 3)
        #expect(sink.dropped == 3)
    }

    @Test("log: lines that peers cause are bounded, others are not")
    func peers() {
        let capture = LoggingCapture()
        let sink = capture.sink()
        let log = Log(sink: sink)
        for _ in 0..<1000 { log.peer(.warn, "again") }
        #expect(capture.lines.count >= 200 && capture.lines.count < 1000)
        #expect(sink.dropped > 0)
        log.error("own")
        #expect(capture.lines.last?.contains("own") == true)
    }

    @Test("allowance: the burst at once, then the rate of each second, and no more after a rest than the burst")
    func allowance() {
        var allowance = PeerAllowance(rate: 2, burst: 3)
        func takes(_ count: Int, at second: Int64) -> Int { (0..<count).count { _ in allowance.take(at: second) } }
        #expect(takes(5, at: 10) == 3)
        #expect(takes(5, at: 11) == 2)
        #expect(takes(5, at: 1000) == 3)
        #expect(takes(5, at: 5) == 0)
    }

    @Test("descriptor: a pipe that nobody reads takes what fits and then refuses, without waiting")
    func blockedPipe() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        defer { ends.forEach { _ = close($0) } }
        let descriptor = LogDescriptor(ends[1])
        let line = [UInt8](repeating: 0x61, count: 3000)
        var taken = 0
        while taken < 1000, line.withUnsafeBytes({ descriptor.write($0) }) { taken += 1 }
        #expect(taken > 0 && taken < 1000)
        var read = [UInt8](repeating: 0, count: 1 << 20)
        #expect(Glibc.read(ends[0], &read, read.count) == taken * line.count)
        #expect(line.withUnsafeBytes { descriptor.write($0) })
    }

    @Test("swift-log: label, level, message and metadata become our line")
    func swiftLog() throws {
        let capture = LoggingCapture()
        let sink = capture.sink()
        var logger = Logger(label: "library") { SwiftLogHandler(label: $0, sink: sink) }
        logger[metadataKey: "a"] = "1"
        logger.debug("hidden")
        logger.notice("text \"quoted\"", metadata: ["b": "2"])
        let object = try #require(try capture.objects().first)
        #expect(capture.lines.count == 1)
        #expect(object["level"] as? String == "info")
        #expect(object["subsystem"] as? String == "library")
        #expect(object["msg"] as? String == "text \"quoted\"")
        #expect(object["a"] as? String == "1" && object["b"] as? String == "2")
    }
}
