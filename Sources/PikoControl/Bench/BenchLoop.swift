// SPDX-License-Identifier: MIT
// A benchmark's share of one loop: its tunnels, its clients, and what they have counted. Loop-confined; the main thread asks by
// `sync` and is woken when something ended.

import PikoCore
import PikoEngine

/// What runs on one loop.
final class BenchLoop {
    let loop: EventLoop
    let configuration: BenchConfiguration
    /// For what is reached by https.
    /// nil: both URLs are of http.
    let tls: TLSIdentity?
    let log: Log
    let payload: BenchPayload
    /// Everything of a request's head up to the endpoint's number.
    let requestHead: [UInt8]
    let requestTraits: RequestTraits
    var latency = LatencyHistogram()
    var openStreams = 0
    var openConnections = 0
    private let turnstile: Turnstile
    private var waiting: [BenchUpstream] = []
    private var tunnels: [BenchUpstream] = []
    private var clients: [BenchClient] = []
    private var counted = BenchCounts()
    private var openTunnels = 0
    private var openClients = 0

    /// Tunnels that are being opened at once.
    private static let window = 32

    init(
        loop: EventLoop, configuration: BenchConfiguration, tls: TLSIdentity?, payload: BenchPayload, log: Log, turnstile: Turnstile
    ) {
        self.loop = loop
        self.tls = tls
        self.configuration = configuration
        self.payload = payload
        self.log = log
        self.turnstile = turnstile
        let url = configuration.connect.proxyURL
        requestHead = Array(
            """
            POST \(url.path)/ HTTP/1.1\r
            host: \(url.authority)\r
            content-length: \(configuration.size)\r
            x-piko-endpoint: \(Self.endpointPrefix)
            """.utf8)
        var traits = RequestTraits()
        traits.method = .post
        traits.keepAlive = true
        requestTraits = traits
    }

    static let endpointPrefix = "endpoint-"

    /// Opens tunnels for these endpoints, a few at a time.
    func openTunnels(_ endpoints: [Int]) {
        waiting = endpoints.map { BenchUpstream(endpoint: "\(Self.endpointPrefix)\($0)", owner: self) }
        for _ in 0..<Self.window { openNext() }
    }

    private func openNext() {
        guard let next = waiting.popLast() else { return }
        tunnels.append(next)
        openTunnels += 1
        next.start()
    }

    /// Starts a client for each share of the requests.
    func startClients(_ shares: [Int]) {
        openClients = shares.count
        clients = shares.map { BenchClient(requests: $0, owner: self) }
        for client in clients { client.start() }
    }

    /// Ends everything at once.
    func end() {
        waiting = []
        for client in clients { client.stop() }
        for tunnel in tunnels { tunnel.stop() }
    }

    var isEnded: Bool { openTunnels == 0 && openConnections == 0 && openStreams == 0 }

    var counts: BenchCounts {
        var counts = counted
        counts.answered = latency.total
        counts.openClients = openClients
        return counts
    }

    // MARK: From tunnels and clients

    func tunnelIsReady() {
        counted.ready += 1
        openNext()
        turnstile.wake()
    }

    func tunnelFailed(_ reason: String) {
        counted.trouble = counted.trouble ?? reason
        turnstile.fail()
    }

    func tunnelDidEnd() {
        openTunnels -= 1
        turnstile.wake()
    }

    func didFail(_ reason: String) {
        counted.failed += 1
        counted.trouble = counted.trouble ?? reason
    }

    func clientDidEnd() {
        openClients -= 1
        turnstile.wake()
    }
}

/// What the clients and tunnels of one loop, or of several together, have done so far. Any thread.
struct BenchCounts: Sendable {
    /// Tunnels that have been connected.
    var ready = 0
    /// Requests with the right answer.
    var answered: UInt64 = 0
    var failed: UInt64 = 0
    /// The first thing that went wrong.
    var trouble: String?
    /// Clients that have not sent all of theirs.
    var openClients = 0

    static func sum(_ parts: [BenchCounts]) -> BenchCounts {
        parts.reduce(into: BenchCounts()) { sum, part in
            sum.ready += part.ready
            sum.answered += part.answered
            sum.failed += part.failed
            sum.trouble = sum.trouble ?? part.trouble
            sum.openClients += part.openClients
        }
    }
}
