// SPDX-License-Identifier: MIT
// The Date field's value against the C library's idea of the calendar.
// No clock.

import Glibc
import PikoCore
import Testing

@Suite struct HTTPDateTests {
    private func text(_ second: Int64) -> String {
        var date = HTTPDate()
        return String(decoding: date.text(at: second), as: UTF8.self)
    }

    private func expected(_ second: Int64) -> String {
        var time = time_t(second)
        var parts = tm()
        gmtime_r(&time, &parts)
        var bytes = [CChar](repeating: 0, count: 64)
        let count = strftime(&bytes, bytes.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
        return String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    @Test("date: as RFC 9110 5.6.7 has it")
    func example() {
        #expect(text(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(text(0) == "Thu, 01 Jan 1970 00:00:00 GMT")
    }

    @Test("date: every day of 700 years, and every second of one")
    func calendar() {
        for day in stride(from: Int64(0), to: 255_000, by: 1) {
            let second = day * 86_400 + day % 86_400
            #expect(text(second) == expected(second))
        }
        for second in stride(from: Int64(1_709_164_800), to: 1_709_251_300, by: 7) { #expect(text(second) == expected(second)) }
    }

    @Test("date: a clock out of range is no trap, and a new second is a new text")
    func range() {
        #expect(text(.min) == text(0))
        #expect(text(.max) == "Fri, 31 Dec 9999 23:59:59 GMT")
        var date = HTTPDate()
        let first = date.text(at: 1)
        #expect(date.text(at: 1) == first)
        #expect(date.text(at: 2) != first)
    }
}
