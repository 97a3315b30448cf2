// SPDX-License-Identifier: MIT
// What the tests of an exchange are made of: requests, responses, every event, and an exchange that remembers.
// No sockets, no clock.

@testable import PikoCore

/// An exchange with all it was told and all it said.
struct Run {
    var exchange: HTTPExchange
    var log: [Directive]
    var events: [ExchangeEvent] = []

    init(_ request: RequestTraits, _ body: RequestBody = .whole, mayKeep: Bool = true) {
        exchange = HTTPExchange(request, body: body, mayKeepClient: mayKeep)
        log = Array(exchange.begin())
    }

    @discardableResult
    mutating func on(_ event: ExchangeEvent) -> [Directive] {
        let said = Array(exchange.handle(event))
        events.append(event)
        log += said
        return said
    }

    /// What holds for every order of events.
    var isSound: Bool {
        let ends = log.indices.filter { if case .finish = log[$0] { true } else { false } }
        if ends.count > 1 || ends.first.map({ $0 != log.count - 1 }) == true { return false }
        if (ends.count == 1) != (exchange.phase == .over) { return false }
        let heads = log.filter { if case .writeResponse = $0 { true } else if case .respond = $0 { true } else { $0 == .respondBadBody } }
        if heads.count > 1 { return false }
        let selections = log.filter { $0 == .select }.count
        return selections <= HTTPExchange.mostAttempts && log.filter { $0 == .sendRequest }.count <= selections
    }
}

let everyEvent: [ExchangeEvent] = [
    .upstreamOpened(confirmed: true, isLast: true), .upstreamOpened(confirmed: false, isLast: false), .upstreamConfirmed, .upstreamRefused(.noUpstreams),
    .dialFailed(.unreachable), .upstreamDeclined(.declined), .upstreamClosed, .responseHead(response()), .responseHead(interimHead(103)), .responseHead(switching()), .badResponse,
    .uploadEnded(.complete), .uploadEnded(.sourceBroke), .uploadEnded(.sinkBroke), .uploadEnded(.malformed),
    .downloadEnded(.complete), .downloadEnded(.sourceBroke), .downloadEnded(.sinkBroke), .clientGone,
    .clockFired(stuck: true), .lingerFired(moving: false), .uploadWatched(moving: false), .overdue,
]

func get(keepAlive: Bool = true) -> RequestTraits {
    var request = RequestTraits()
    request.method = .get
    request.keepAlive = keepAlive
    return request
}

func post() -> RequestTraits {
    var request = get()
    request.method = .post
    request.framing = .length(1000)
    return request
}

func put() -> RequestTraits {
    var request = post()
    request.method = .put
    return request
}

func upgrade() -> RequestTraits {
    var request = get()
    request.isUpgrade = true
    return request
}

func response(_ framing: BodyFraming = .length(12), keepAlive: Bool = true) -> ResponseTraits {
    var response = ResponseTraits()
    response.status = 200
    response.framing = framing
    response.keepAlive = keepAlive && framing != .untilClose
    return response
}

func interimHead(_ status: UInt16) -> ResponseTraits {
    var response = ResponseTraits()
    response.status = status
    response.isInterim = true
    response.keepAlive = true
    return response
}

func switching() -> ResponseTraits {
    var response = ResponseTraits()
    response.status = 101
    response.isUpgrade = true
    return response
}
