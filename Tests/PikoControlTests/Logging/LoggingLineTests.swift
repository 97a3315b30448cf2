// SPDX-License-Identifier: MIT
// What a log line looks like: order of fields, escapes, bounds.
// Every line is read back by Foundation's JSON parser.

import Foundation
import PikoCore
import Testing
@testable import PikoControl

struct LoggingLineTests {
    private func line(capacity: Int = 4096, _ fields: (inout LogLine) -> Void) -> String {
        withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 1) { memory in
            var line = LogLine(memory: memory)
            line.begin(level: .info, time: LogTime(seconds: 0, milliseconds: 7), subsystem: "a", message: "m")
            fields(&line)
            line.end()
            return String(decoding: memory[..<line.count], as: UTF8.self)
        }
    }

    private func value(of text: [UInt8]) throws -> String {
        let line = line { line in text.withUnsafeBytes { line.add("x", bytes: $0) } }
        let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        return try #require(object?["x"] as? String)
    }

    @Test("line: level, ts, subsystem and msg come first, then the fields in order")
    func order() {
        let line = line {
            $0.add("text", "t")
            $0.add("number", -12)
            $0.add("flag", true)
        }
        #expect(line == #"{"level":"info","ts":"1970-01-01T00:00:00.007Z","subsystem":"a","msg":"m","text":"t","number":-12,"flag":true}"# + "\n")
    }

    @Test("line: every ASCII byte reads back, control characters as escapes", arguments: UInt8(0)...0x7F)
    func ascii(byte: UInt8) throws {
        #expect(try value(of: [0x61, byte, 0x62]) == "a\(Character(UnicodeScalar(byte)))b")
        let text = line { line in withBytes(String(UnicodeScalar(byte))) { line.add("x", bytes: $0) } }
        #expect(text.dropLast().utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F })
    }

    @Test("line: a byte that needs an escape is found wherever it is in a text", arguments: [0x00, 0x1F, 0x22, 0x5C, 0x7F, 0xC3] as [UInt8])
    func everyOffset(byte: UInt8) throws {
        let special: [UInt8] = byte == 0xC3 ? [0xC3, 0xA4] : [byte]
        for length in 0..<20 {
            for offset in 0...length {
                var text = [UInt8](repeating: 0x61, count: length)
                text.insert(contentsOf: special, at: offset)
                #expect(try value(of: text) == String(decoding: text, as: UTF8.self))
            }
        }
    }

    @Test("line: well-formed UTF-8 stays", arguments: ["ä", "€", "😀", "퟿", "", "\u{10FFFF}", "a😀b"])
    func wellFormed(text: String) throws {
        #expect(try value(of: Array(text.utf8)) == text)
    }

    @Test("line: what is not UTF-8 becomes U+FFFD", arguments: [
        [0xFF], [0xC0, 0xAF], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82], [0x80],
    ] as [[UInt8]])
    func illFormed(bytes: [UInt8]) throws {
        let read = try value(of: [0x61] + bytes + [0x62])
        #expect(read.first == "a" && read.last == "b")
        #expect(read.dropFirst().dropLast().unicodeScalars.allSatisfy { $0 == "\u{FFFD}" })
    }

    @Test("line: C1 controls are escaped, so a terminal obeys none")
    func c1() throws {
        let text = line { line in withBytes("\u{9B}31m") { line.add("x", bytes: $0) } }
        #expect(text.contains(#"\u009b31m"#))
    }

    @Test("line: Unicode's line ends are escaped, so a line stays one")
    func lineEnds() throws {
        #expect(try value(of: Array("a\u{2027}\u{2028}\u{2029}\u{202A}".utf8)) == "a\u{2027}\u{2028}\u{2029}\u{202A}")
        let text = line { line in withBytes("\u{2028}\u{2029}") { line.add("x", bytes: $0) } }
        #expect(text.hasSuffix(#""x":"\u2028\u2029"}"# + "\n"))
    }

    @Test("line: too long a text is cut, and the line stays JSON within the bound", arguments: ["x", "\"", "ä", "😀", "\u{1}"])
    func cut(filler: String) throws {
        for capacity in 256...300 {
            let text = line(capacity: capacity) { line in
                line.add("x", String(repeating: filler, count: 400))
                line.add("y", "left out")
            }
            #expect(text.utf8.count <= capacity)
            let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            #expect(object["cut"] as? Bool == true)
            #expect(object["msg"] as? String == "m")
        }
    }

    @Test("line: a number is never cut, it is there or not")
    func numbers() throws {
        for capacity in 256...300 {
            let text = line(capacity: capacity) { line in
                for _ in 0..<20 { line.add("n", UInt64.max) }
            }
            #expect(text.utf8.count <= capacity)
            #expect(text.components(separatedBy: "\"n\":").dropFirst().allSatisfy { $0.hasPrefix("18446744073709551615,") })
        }
    }

    @Test("line: durations read like Go's", arguments: [
        (0, "0s"), (1, "1ns"), (1500, "1.5µs"), (2_000_000, "2ms"), (1_234_567, "1.234567ms"), (1_000_000_000, "1s"),
        (61_050_000_000, "1m1.05s"), (3_600_000_000_000, "1h0m0s"), (120_000_000_000, "2m0s"),
    ] as [(UInt64, String)])
    func durations(nanoseconds: UInt64, text: String) {
        #expect(line { $0.add("d", nanoseconds: nanoseconds) }.contains("\"d\":\"\(text)\""))
    }

    @Test("time: dates agree with Foundation's calendar from 1970 to 2500")
    func dates() throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(identifier: "UTC"))
        for days in stride(from: Int64(0), to: 193_000, by: 13) {
            let parts = calendar.dateComponents([.year, .month, .day], from: Date(timeIntervalSince1970: Double(days) * 86400))
            let date = LogTime.date(days: days)
            #expect(date == (Int64(parts.year!), Int64(parts.month!), Int64(parts.day!)))
        }
    }
}
