// SPDX-License-Identifier: MIT
// What a proxy counts and how the page of metrics looks.
// No loops, no sockets.

import PikoCore
import Testing
@testable import PikoControl

struct MetricsTests {
    private func end(_ metrics: ProxyMetrics, _ status: Int, _ method: KnownMethod, nanoseconds: UInt64 = 1) {
        metrics.began()
        metrics.ended(status: status, method: method, nanoseconds: nanoseconds, requestBytes: 256, responseBytes: 257)
    }

    @Test("text: families, labels and escapes")
    func text() {
        var page = PrometheusText()
        page.begin("a_total", .counter, "An a.")
        page.sample([("x", "q\"b\\n\n")], 3)
        page.begin("b", .gauge, "A b.")
        page.sample(-1)
        #expect(page.text == """
            # HELP a_total An a.
            # TYPE a_total counter
            a_total{x="q\\"b\\\\n\\n"} 3
            # HELP b A b.
            # TYPE b gauge
            b -1

            """)
    }

    @Test("histogram: a bound is part of its bucket, buckets add up, above all is +Inf")
    func histogram() {
        let cells = HistogramCells(.latency)
        for value in [5_000_000, 5_000_001, 10_000_000_000, 10_000_000_001] as [UInt64] { cells.observe(value) }
        var page = PrometheusText()
        page.begin("h", .histogram, "H.")
        page.sample([], cells.histogram, .latency)
        #expect(page.text.contains("h_bucket{le=\"0.005\"} 1\n"))
        #expect(page.text.contains("h_bucket{le=\"0.01\"} 2\n"))
        #expect(page.text.contains("h_bucket{le=\"5\"} 2\n"))
        #expect(page.text.contains("h_bucket{le=\"10\"} 3\n"))
        #expect(page.text.contains("h_bucket{le=\"+Inf\"} 4\n"))
        #expect(page.text.contains("h_sum 20.010000002\n"))
        #expect(page.text.contains("h_count 4\n"))
    }

    @Test("proxy: requests are counted by status and method")
    func proxy() {
        let metrics = ProxyMetrics()
        metrics.began()
        end(metrics, 200, .get)
        end(metrics, 200, .get)
        end(metrics, 502, .post)
        var page = PrometheusText()
        page.add([([], metrics.snapshot)], prefix: "piko_proxy")
        #expect(page.text.contains("piko_proxy_requests_in_flight 1\n"))
        #expect(page.text.contains("piko_proxy_requests_total{status=\"200\",method=\"GET\"} 2\n"))
        #expect(page.text.contains("piko_proxy_requests_total{status=\"502\",method=\"POST\"} 1\n"))
        #expect(page.text.contains("piko_proxy_request_latency_seconds_bucket{status=\"200\",method=\"GET\",le=\"0.005\"} 2\n"))
        #expect(page.text.contains("piko_proxy_request_size_bytes_bucket{le=\"256\"} 3\n"))
        #expect(page.text.contains("piko_proxy_response_size_bytes_bucket{le=\"256\"} 0\n"))
        #expect(page.text.contains("piko_proxy_response_size_bytes_bucket{le=\"1024\"} 3\n"))
        #expect(page.text.contains("piko_proxy_response_size_bytes_bucket{le=\"4.194304e+06\"} 3\n"))
    }

    @Test("proxy: what no status tells has families of its own, of all loops together")
    func faults() {
        let (one, two) = (ProxyMetrics(), ProxyMetrics())
        for metrics in [one, two] { for fault in ProxyFault.allCases { metrics.count(fault) } }
        two.count(.responseMalformed)
        var sum = one.snapshot
        sum.add(two.snapshot)
        var page = PrometheusText()
        page.add([([("endpoint", "e")], sum)], prefix: "piko_agent")
        #expect(page.text.contains("piko_agent_bodies_broken_total{endpoint=\"e\",side=\"upstream\",kind=\"malformed\"} 3\n"))
        #expect(page.text.contains("piko_agent_bodies_broken_total{endpoint=\"e\",side=\"client\",kind=\"truncated\"} 2\n"))
        #expect(page.text.contains("piko_agent_responses_overdue_total{endpoint=\"e\"} 2\n"))
        #expect(page.text.contains("piko_agent_connections_silent_total{endpoint=\"e\"} 2\n"))
    }

    @Test("proxy: what peers choose cannot grow the number of series without bound")
    func cardinality() {
        let metrics = ProxyMetrics()
        for number in 0..<1000 { end(metrics, number % 2 == 0 ? 200 : 600 + number, .other) }
        for status in [-1, 0, 99, 600, .max] { end(metrics, status, .get) }
        let keys = metrics.snapshot.series.keys
        #expect(Set(keys.map(\.method)) == ["OTHER", "GET"])
        #expect(Set(keys.map(\.status)) == [200, 0])
    }

    @Test("proxy: every known method has a series of its own")
    func methods() {
        let metrics = ProxyMetrics()
        for method in KnownMethod.allCases { end(metrics, 200, method) }
        #expect(Set(metrics.snapshot.series.keys.map(\.method)).count == KnownMethod.allCases.count)
    }

    @Test("proxy: the loops' snapshots add up")
    func sums() {
        let (one, two) = (ProxyMetrics(), ProxyMetrics())
        end(one, 200, .get)
        end(two, 200, .get)
        end(two, 404, .put)
        two.began()
        var sum = one.snapshot
        sum.add(two.snapshot)
        #expect(sum.inFlight == 1)
        #expect(sum.series[ProxySeriesKey(status: 200, method: "GET")]?.total == 2)
        #expect(sum.series[ProxySeriesKey(status: 404, method: "PUT")]?.total == 1)
        #expect(sum.requestSize.total == 3)
    }

    @Test("upstreams: the original's names and labels")
    func upstreams() {
        var snapshot = UpstreamSnapshot()
        snapshot.connectedUpstreams = 4
        snapshot.upstreamRequests = 1
        snapshot.remoteRequests = ["n2": 3]
        snapshot.sharedRequests = ["n2": 1]
        var page = PrometheusText()
        page.add(snapshot)
        #expect(page.text.contains("piko_upstreams_connected_upstreams 4\n"))
        #expect(page.text.contains("piko_upstreams_upstream_requests_total 1\n"))
        #expect(page.text.contains("piko_upstreams_remote_requests_total{node_id=\"n2\"} 3\n"))
        #expect(page.text.contains("piko_upstreams_shared_requests_total{node_id=\"n2\"} 1\n"))
    }
}
