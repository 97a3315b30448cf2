// SPDX-License-Identifier: MIT
// What a proxy counts about its requests, for one loop. Plain integers, touched on that loop only; whoever wants to see them
// asks on the loop for a snapshot, which is a value, and adds up those of all loops.

import PikoCore

/// The counters of one loop's proxy.
public final class ProxyMetrics {
    private var inFlight = 0
    private let requestSize = HistogramCells(.size)
    private let responseSize = HistogramCells(.size)
    private var series: [ProxySeries] = []
    private var faults = [UInt64](repeating: 0, count: ProxyFault.allCases.count)
    /// The cells of each status and method; nil until there was one.
    private let cells: UnsafeMutablePointer<HistogramCells?>

    private static let firstStatus = 100
    private static let lastStatus = 599
    private static let methods = KnownMethod.allCases.count
    private static let cellCount = (lastStatus - firstStatus + 2) * methods

    public init() {
        cells = .allocate(capacity: Self.cellCount)
        cells.initialize(repeating: nil, count: Self.cellCount)
    }

    deinit {
        cells.deinitialize(count: Self.cellCount)
        cells.deallocate()
    }

    /// A request's head is there.
    public func began() { inFlight += 1 }

    /// It is over. `status` is what the client got, 0 for nothing; the request's size is of head and body, the response's of its body,
    /// as the original counts.
    public func ended(
        status: Int, method: KnownMethod, nanoseconds: UInt64, requestBytes: UInt64, responseBytes: UInt64
    ) {
        inFlight -= 1
        latency(of: status, method).observe(nanoseconds)
        requestSize.observe(requestBytes)
        responseSize.observe(responseBytes)
    }

    /// What no status says went wrong.
    func count(_ fault: ProxyFault) { faults[fault.rawValue] &+= 1 }

    public var snapshot: ProxySnapshot {
        var snapshot = ProxySnapshot()
        snapshot.faults = faults
        snapshot.inFlight = inFlight
        snapshot.requestSize = requestSize.histogram
        snapshot.responseSize = responseSize.histogram
        for one in series { snapshot.series[one.key] = one.latency.histogram }
        return snapshot
    }

    /// A service may answer with any three digits; what is no status of HTTP is counted as 0.
    private func latency(of status: Int, _ method: KnownMethod) -> HistogramCells {
        let isKnown = status >= Self.firstStatus && status <= Self.lastStatus
        let row = isKnown ? status - Self.firstStatus + 1 : 0
        let index = row * Self.methods + Int(method.rawValue)
        return cells[index] ?? add(ProxySeriesKey(status: isKnown ? status : 0, method: method.label), at: index)
    }

    private func add(_ key: ProxySeriesKey, at index: Int) -> HistogramCells {
        let latency = HistogramCells(.latency)
        series.append(ProxySeries(key: key, latency: latency))
        cells[index] = latency
        return latency
    }
}

extension KnownMethod {
    /// As a label. Any token is a method, and a client chooses it, so all that Piko does not know are one.
    var label: String {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .delete: "DELETE"
        case .connect: "CONNECT"
        case .options: "OPTIONS"
        case .trace: "TRACE"
        case .patch: "PATCH"
        case .other: "OTHER"
        }
    }
}

private struct ProxySeries {
    let key: ProxySeriesKey
    let latency: HistogramCells
}

/// The labels of a series.
public struct ProxySeriesKey: Hashable, Comparable, Sendable {
    public let status: Int
    public let method: String

    public static func < (left: Self, right: Self) -> Bool {
        (left.status, left.method) < (right.status, right.method)
    }
}

/// What a proxy, or several together, have counted. Any thread.
public struct ProxySnapshot: Equatable, Sendable {
    public var inFlight = 0
    public var requestSize = Histogram(.size)
    public var responseSize = Histogram(.size)
    /// The count of a latency is the count of requests.
    public var series: [ProxySeriesKey: Histogram] = [:]
    /// By fault.
    var faults = [UInt64](repeating: 0, count: ProxyFault.allCases.count)

    public init() {}

    public mutating func add(_ other: ProxySnapshot) {
        inFlight += other.inFlight
        requestSize.add(other.requestSize)
        responseSize.add(other.responseSize)
        for fault in faults.indices { faults[fault] &+= other.faults[fault] }
        for (key, latency) in other.series { series[key, default: Histogram(.latency)].add(latency) }
    }
}

extension PrometheusText {
    /// The five families of a proxy, and what went wrong without a status (ProxyFault). `prefix` is `piko_proxy`, or `piko_agent` where each part has a label `endpoint`.
    public mutating func add(_ parts: [(labels: [(String, String)], snapshot: ProxySnapshot)], prefix: String) {
        begin("\(prefix)_requests_in_flight", .gauge, "Requests under way.")
        for part in parts { sample(part.labels, part.snapshot.inFlight) }
        begin("\(prefix)_requests_total", .counter, "Requests that are over.")
        for part in parts {
            for (labels, latency) in Self.series(of: part) { sample(labels, latency.total) }
        }
        begin("\(prefix)_request_latency_seconds", .histogram, "Time from request head to end of response.")
        for part in parts {
            for (labels, latency) in Self.series(of: part) { sample(labels, latency, .latency) }
        }
        begin("\(prefix)_request_size_bytes", .histogram, "Size of requests.")
        for part in parts { sample(part.labels, part.snapshot.requestSize, .size) }
        begin("\(prefix)_response_size_bytes", .histogram, "Size of responses.")
        for part in parts { sample(part.labels, part.snapshot.responseSize, .size) }
        addFaults(parts, prefix)
    }

    private static func series(
        of part: (labels: [(String, String)], snapshot: ProxySnapshot)
    ) -> [([(String, String)], Histogram)] {
        part.snapshot.series.sorted { $0.key < $1.key }.map { key, latency in
            (part.labels + [("status", String(key.status)), ("method", key.method)], latency)
        }
    }
}

extension Histogram {
    var total: UInt64 { counts.reduce(0, &+) }
}
