// SPDX-License-Identifier: MIT
// Durations as a user writes them: "10s", "1m30s", "250ms", "1.5h", "0".
// Pure.

extension Duration {
    /// Reads a sequence of numbers, each with a unit (ns us µs ms s m h); a bare "0" needs none. nil for anything else, for a
    /// negative one, and beyond 146 years.
    public init?(configured text: some StringProtocol) {
        if text == "0" { self = .zero; return }
        guard !text.isEmpty else { return nil }
        var rest = Substring(text)[...]
        var nanoseconds = 0.0
        while !rest.isEmpty {
            guard let part = Self.takePart(&rest) else { return nil }
            nanoseconds += part
        }
        guard nanoseconds <= Double(Int64.max) / 2 else { return nil }
        self = .nanoseconds(Int64(nanoseconds.rounded()))
    }

    /// Milliseconds, rounded up, so that a limit that is not zero never becomes none.
    public var wholeMilliseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let fraction = (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
        let (whole, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1000)
        return overflow ? .max : whole &+ UInt64(fraction)
    }

    /// The shortest text that reads back as this duration, such as "1m30s".
    public var configured: String {
        var rest = components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000
        guard rest > 0 else { return "0" }
        var text = ""
        for (unit, size) in Self.units where unit != "µs" && rest >= size {
            text += "\(rest / size)\(unit)"
            rest %= size
        }
        return text
    }

    private static let units: [(String, Int64)] = [
        ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
        ("ms", 1_000_000), ("us", 1000), ("µs", 1000), ("ns", 1),
    ]

    private static func takePart(_ rest: inout Substring) -> Double? {
        let number = rest.prefix { ("0"..."9").contains($0) || $0 == "." }
        rest = rest.dropFirst(number.count)
        let unit = rest.prefix { !("0"..."9").contains($0) && $0 != "." }
        rest = rest.dropFirst(unit.count)
        guard let value = Double(number), let size = units.first(where: { $0.0 == unit })?.1 else { return nil }
        return value * Double(size)
    }
}
