// SPDX-License-Identifier: MIT
// Times of a log line: the moment ("2026-11-23T00:42:03.120Z", UTC) and how long something took ("1.5ms", "2m0.25s").
// Pure but for `now`; no calendar library, since a line must not allocate.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// A moment of the wall clock.
struct LogTime {
    /// Seconds since 1970, not before it.
    var seconds: Int64
    var milliseconds: Int

    static func now() -> LogTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return LogTime(seconds: Int64(time.tv_sec), milliseconds: Int(time.tv_nsec) / 1_000_000)
    }

    /// Writes 24 bytes.
    func write(to line: inout LogLine) {
        let (year, month, day) = Self.date(days: seconds / 86400)
        let second = seconds % 86400
        line.digits(UInt64(year), width: 4)
        line.put(UInt8(ascii: "-"))
        line.digits(UInt64(month), width: 2)
        line.put(UInt8(ascii: "-"))
        line.digits(UInt64(day), width: 2)
        line.put(UInt8(ascii: "T"))
        line.digits(UInt64(second / 3600), width: 2)
        line.put(UInt8(ascii: ":"))
        line.digits(UInt64(second / 60 % 60), width: 2)
        line.put(UInt8(ascii: ":"))
        line.digits(UInt64(second % 60), width: 2)
        line.put(UInt8(ascii: "."))
        line.digits(UInt64(milliseconds), width: 3)
        line.put(UInt8(ascii: "Z"))
    }

    /// The date so many days after 1970-01-01. Years are counted from March, so that the leap day is a year's last.
    static func date(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let fromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * fromMarch + 2) / 5 + 1
        let month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

extension LogLine {
    /// Below a second in the largest unit that fits, else hours, minutes and seconds; fractions without trailing zeros.
    mutating func duration(_ nanoseconds: UInt64) {
        switch nanoseconds {
        case 0: put("0s")
        case 1..<1000: fraction(nanoseconds, of: 1, "ns")
        case 1000..<1_000_000: fraction(nanoseconds, of: 1000, "µs")
        case 1_000_000..<1_000_000_000: fraction(nanoseconds, of: 1_000_000, "ms")
        default: longDuration(nanoseconds)
        }
    }

    private mutating func longDuration(_ nanoseconds: UInt64) {
        let minutes = nanoseconds / 60_000_000_000
        if minutes >= 60 {
            digits(minutes / 60)
            put("h")
        }
        if minutes > 0 {
            digits(minutes % 60)
            put("m")
        }
        fraction(nanoseconds % 60_000_000_000, of: 1_000_000_000, "s")
    }

    private mutating func fraction(_ value: UInt64, of unit: UInt64, _ name: StaticString) {
        digits(value / unit)
        var rest = value % unit
        var scale = unit / 10
        if rest > 0 { put(".") }
        while rest > 0 {
            digits(rest / scale)
            rest %= scale
            scale /= 10
        }
        put(name)
    }
}
