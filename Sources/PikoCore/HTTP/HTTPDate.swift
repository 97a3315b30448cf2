// SPDX-License-Identifier: MIT
// The time as the Date field has it: "Sun, 06 Nov 1994 08:49:37 GMT" (IMF-fixdate, RFC 9110 5.6.7). Made anew once a second.
// Pure: the clock is the caller's. A value; any thread.

/// The Date of answers that a process gives by itself (RFC 9110 6.6.1).
public struct HTTPDate: Sendable {
    private var second: Int64?
    private var bytes: [UInt8] = []

    private static let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    public init() {}

    /// 29 bytes of ASCII.
    /// - Parameter second: since 1970, from 0 to the year 9999.
    public mutating func text(at second: Int64) -> [UInt8] {
        if second != self.second {
            self.second = second
            bytes = Self.write(min(max(second, 0), 253_402_300_799))
        }
        return bytes
    }

    private static func write(_ second: Int64) -> [UInt8] {
        let (day, time) = (second / 86_400, second % 86_400)
        let date = civil(day)
        var text = Array("\(days[Int(day % 7)]), ".utf8)
        append(date.day, to: &text)
        text += Array(" \(months[date.month - 1]) ".utf8)
        append(date.year / 100, to: &text)
        append(date.year % 100, to: &text)
        for (mark, value) in [(" ", time / 3600), (":", time / 60 % 60), (":", time % 60)] {
            text += Array(mark.utf8)
            append(Int(value), to: &text)
        }
        return text + Array(" GMT".utf8)
    }

    private static func append(_ value: Int, to text: inout [UInt8]) {
        text.append(UInt8(ascii: "0") + UInt8(value / 10))
        text.append(UInt8(ascii: "0") + UInt8(value % 10))
    }

    /// The date of a day since 1970. Years are counted from March, so that a leap day is the last of its year.
    private static func civil(_ day: Int64) -> (year: Int, month: Int, day: Int) {
        let fromMarch = day + 719_468  // since 1 March of the year 0
        let era = fromMarch / 146_097  // 400 years
        let ofEra = fromMarch % 146_097
        let year = (ofEra - ofEra / 1460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * year + year / 4 - year / 100)
        let month = (5 * ofYear + 2) / 153
        let isAfterDecember = month >= 10
        return (
            Int(year + era * 400) + (isAfterDecember ? 1 : 0), Int(isAfterDecember ? month - 9 : month + 3),
            Int(ofYear - (153 * month + 2) / 5 + 1)
        )
    }
}
