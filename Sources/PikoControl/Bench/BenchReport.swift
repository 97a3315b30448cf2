// SPDX-License-Identifier: MIT
// What a benchmark says at its end, and while it runs.
// Any thread.
// Pure text.

/// The result of a benchmark.
public struct BenchReport: Sendable {
    /// Requests that were to be sent.
    public var requests: Int
    public var failed: UInt64
    public var nanoseconds: UInt64
    public var latency: LatencyHistogram
    /// The first thing that went wrong.
    public var trouble: String?

    /// Several lines without the last newline.
    public var text: String {
        let rows = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1)]
        let percentiles = rows.map { name, share in
            "  \(Self.padded(name, 8))\(Self.milliseconds(latency.percentile(share))) ms"
        }
        return """
            Requests: \(latency.total) answered, \(failed) failed
            Time: \(Self.fixed(Double(nanoseconds) / 1e9, 3)) s
            Throughput: \(Self.fixed(rate, 1)) requests/sec
            Latency:
            \(percentiles.joined(separator: "\n"))
            """
    }

    /// Requests answered in a second.
    public var rate: Double { nanoseconds == 0 ? 0 : Double(latency.total) / (Double(nanoseconds) / 1e9) }

    /// One line while it runs.
    static func progress(done: UInt64, of requests: Int, rate: Double) -> String {
        let share = Double(done) / Double(max(requests, 1)) * 100
        return "\(done) of \(requests) requests (\(fixed(share, 1)) %), \(fixed(rate, 0)) requests/sec"
    }

    private static func milliseconds(_ nanoseconds: UInt64) -> String {
        let text = fixed(Double(nanoseconds) / 1e6, 3)
        return String(repeating: " ", count: max(0, 10 - text.count)) + text
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// With so many decimals.
    static func fixed(_ value: Double, _ decimals: Int) -> String {
        var scale: UInt64 = 1
        for _ in 0..<decimals { scale *= 10 }
        let whole = UInt64((max(0, value) * Double(scale)).rounded())
        guard decimals > 0 else { return String(whole) }
        let fraction = String(whole % scale)
        return "\(whole / scale)." + String(repeating: "0", count: decimals - fraction.count) + fraction
    }
}
