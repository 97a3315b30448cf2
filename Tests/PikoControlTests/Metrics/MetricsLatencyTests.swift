// SPDX-License-Identifier: MIT
// The latencies of a benchmark and its report.
// No loops, no sockets; the numbers are compared with exact ones.

import Testing
@testable import PikoControl

struct MetricsLatencyTests {
    @Test("latency: buckets follow each other without a gap, and each value is in its own")
    func buckets() {
        #expect(LatencyHistogram.bucket(of: .max) == 64 * 59 - 1)
        for bucket in 0..<64 * 59 {
            let largest = LatencyHistogram.largest(in: bucket)
            #expect(LatencyHistogram.bucket(of: largest) == bucket)
            if largest < .max { #expect(LatencyHistogram.bucket(of: largest + 1) == bucket + 1) }
        }
    }

    @Test("latency: percentiles are within 1.6 % above the exact ones, the maximum is exact")
    func percentiles() {
        var histogram = LatencyHistogram()
        var values: [UInt64] = []
        var seed: UInt64 = 1
        for _ in 0..<10_000 {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1
            let value = (seed >> 33) % 50_000_000 + 1
            values.append(value)
            histogram.record(value)
        }
        values.sort()
        for share in [0.5, 0.9, 0.99, 0.999] {
            let exact = Double(values[Int((Double(values.count) * share).rounded(.up)) - 1])
            let found = Double(histogram.percentile(share))
            #expect(found >= exact && found <= exact * 1.016)
        }
        #expect(histogram.percentile(1) == values.last)
        #expect(histogram.maximum == values.last)
    }

    @Test("latency: sums of loops are as one")
    func sums() {
        var (one, two, all) = (LatencyHistogram(), LatencyHistogram(), LatencyHistogram())
        for value: UInt64 in [1, 100, 10_000] { one.record(value); all.record(value) }
        for value: UInt64 in [5, 1_000_000] { two.record(value); all.record(value) }
        one.add(two)
        #expect(one == all)
        #expect(LatencyHistogram().percentile(0.5) == 0)
    }

    @Test("report: what was measured, in fixed columns")
    func report() {
        var latency = LatencyHistogram()
        for _ in 0..<10 { latency.record(1_000_000) }
        let report = BenchReport(requests: 12, failed: 2, nanoseconds: 500_000_000, latency: latency, trouble: nil)
        #expect(report.text == """
            Requests: 10 answered, 2 failed
            Time: 0.500 s
            Throughput: 20.0 requests/sec
            Latency:
              p50          1.000 ms
              p90          1.000 ms
              p99          1.000 ms
              p99.9        1.000 ms
              max          1.000 ms
            """)
        #expect(BenchReport.progress(done: 5, of: 20, rate: 12.4) == "5 of 20 requests (25.0 %), 12 requests/sec")
    }

    @Test("bench: the requests are shared out whole", arguments: [(10, 3), (2, 5), (1, 1), (100_000, 50)])
    func shares(requests: Int, clients: Int) {
        let shares = BenchProcess.shares(of: requests, among: clients)
        #expect(shares.reduce(0, +) == requests)
        #expect(shares.count == min(requests, clients))
        #expect(shares.allSatisfy { $0 > 0 && $0 <= requests / clients + 1 })
    }
}
