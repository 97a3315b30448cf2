// SPDX-License-Identifier: MIT
// The time of day, for Date fields. Any thread.
// Whatever measures durations uses the loop's clock instead.

import Glibc
import PikoCore

enum TimeOfDay {
    /// Since 1970.
    static var seconds: Int64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec)
    }

    /// A Date field's value, for the cold path: whoever answers often keeps an HTTPDate.
    static var date: String {
        var date = HTTPDate()
        return String(decoding: date.text(at: seconds), as: UTF8.self)
    }
}
