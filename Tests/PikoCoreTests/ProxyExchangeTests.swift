// SPDX-License-Identifier: MIT
// The decisions of one exchange: the usual ways through, and the nasty orders.
// Events in, directives out; no sockets, no clock.

import Testing

@testable import PikoCore

@Suite struct ProxyExchangeTests {
    // MARK: The usual way

    @Test("a request without body and its response: one upstream, given back reusable, the client stays")
    func plain() {
        var run = Run(get())
        #expect(run.log == [.startClock, .select])
        #expect(run.on(.upstreamOpened(confirmed: true, isLast: false)) == [.sendRequest])
        #expect(run.on(.responseHead(response())) == [.stopClock, .writeResponse(closes: false), .startDownload])
        #expect(run.on(.downloadEnded(.complete)) == [.releaseUpstream(reusable: true), .finish(.complete, .keep)])
    }

    @Test("a streamed body: its flow starts behind the head, and the clock runs anew from its end")
    func upload() {
        var run = Run(post(), .streamed)
        #expect(run.on(.upstreamOpened(confirmed: true, isLast: false)) == [.sendRequest, .startUpload])
        #expect(run.on(.uploadEnded(.complete)) == [.startClock])
        run.on(.responseHead(response()))
        #expect(run.on(.downloadEnded(.complete)) == [.releaseUpstream(reusable: true), .finish(.complete, .keep)])
    }

    @Test("nothing follows finish, whatever comes")
    func over() {
        var run = Run(get())
        run.on(.clientGone)
        for event in everyEvent { #expect(run.on(event) == []) }
    }

    @Test("a client or a node that does not want to go on: close is said and done")
    func close() {
        for (request, mayKeep) in [(get(keepAlive: false), true), (get(), false)] {
            var run = Run(request, mayKeep: mayKeep)
            run.on(.upstreamOpened(confirmed: true, isLast: false))
            #expect(run.on(.responseHead(response())).contains(.writeResponse(closes: true)))
            #expect(run.on(.downloadEnded(.complete)).last == .finish(.complete, .close))
        }
    }

    @Test("a client that expects the end it asked for is told of it only for another reason")
    func knownEnd() {
        for (framing, closes) in [(BodyFraming.length(1), false), (.untilClose, true)] {
            var exchange = HTTPExchange(get(keepAlive: false), body: .whole, mayKeepClient: true, clientKnowsEnd: true)
            _ = exchange.handle(.upstreamOpened(confirmed: true, isLast: false))
            let said = Array(exchange.handle(.responseHead(response(framing))))
            #expect(said.contains(.writeResponse(closes: closes)))
            #expect(Array(exchange.handle(.downloadEnded(.complete))).last == .finish(.complete, .close))
        }
    }

    @Test("a service that ends its connection does not end the client's")
    func serviceCloses() {
        var run = Run(get())
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.responseHead(response(keepAlive: false))).contains(.writeResponse(closes: false)))
        #expect(run.on(.downloadEnded(.complete)) == [.releaseUpstream(reusable: false), .finish(.complete, .keep)])
    }

    @Test("a body until close, and chunks for HTTP/1.0, end the client's connection")
    func untilClose() {
        var old = get()
        old.version = .http10
        for (request, framing) in [(get(), BodyFraming.untilClose), (old, .chunked)] {
            var run = Run(request)
            run.on(.upstreamOpened(confirmed: true, isLast: false))
            #expect(run.on(.responseHead(response(framing))).contains(.writeResponse(closes: true)))
        }
    }

    // MARK: Interim heads

    @Test("interim heads are passed on, to HTTP/1.0 they are not")
    func interim() {
        var run = Run(get())
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.responseHead(interimHead(103))) == [.writeInterim])
        #expect(run.on(.responseHead(interimHead(100))) == [.writeInterim])
        var old = get()
        old.version = .http10
        run = Run(old)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.responseHead(interimHead(103))) == [])
    }

    @Test("after an interim head a request is not sent again, but an error can still be told")
    func interimThenLost() {
        var run = Run(get())
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        run.on(.responseHead(interimHead(103)))
        #expect(run.on(.upstreamClosed) == [.abortUpstream, .respond(.lost, closes: false), .finish(.failed, .keep)])
    }

    // MARK: Trying again

    @Test("retry: an upstream that closes before its response is replaced, at most twice, then 502")
    func retry() {
        var run = Run(get())
        for _ in 1..<HTTPExchange.mostAttempts {
            run.on(.upstreamOpened(confirmed: true, isLast: false))
            #expect(run.on(.upstreamClosed) == [.abortUpstream, .select])
        }
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.upstreamClosed) == [.abortUpstream, .respond(.lost, closes: false), .finish(.failed, .keep)])
    }

    @Test("retry: POST goes elsewhere when no service can have seen it, else it does not")
    func retryPost() {
        var run = Run(post(), .whole)
        run.on(.upstreamOpened(confirmed: false, isLast: false))
        #expect(run.on(.upstreamClosed) == [.abortUpstream, .select])
        run.on(.upstreamOpened(confirmed: false, isLast: false))
        run.on(.upstreamConfirmed)
        #expect(run.on(.upstreamClosed).contains(.respond(.lost, closes: false)))
    }

    @Test("retry: a dial that failed is tried elsewhere whatever the method, thrice in all; one to the only service is not")
    func dialFailed() {
        for (request, body) in [(get(), RequestBody.whole), (post(), .held), (post(), .streamed)] {
            var run = Run(request, body)
            #expect(run.on(.dialFailed(.unreachable)) == [.select])
            #expect(run.on(.dialFailed(.unreachable)) == [.select])
            #expect(run.on(.dialFailed(.unreachable)).contains(.respond(.unreachable, closes: body != .whole)))
        }
        var run = Run(get())
        let final = ProxyError(.unreachable, source: .upstream, retry: .never)
        #expect(run.on(.dialFailed(final)).contains(.respond(final, closes: false)))
    }

    @Test("retry: dials that failed and upstreams that broke count together")
    func mixedAttempts() {
        var run = Run(get())
        run.on(.dialFailed(.unreachable))
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.upstreamClosed) == [.abortUpstream, .select])
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.upstreamClosed).contains(.respond(.lost, closes: false)))
    }

    @Test("retry: a node that declined is as good as not asked, as long as the body is still held")
    func declined() {
        var run = Run(post(), .whole)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.upstreamDeclined(.declined)) == [.abortUpstream, .select])
        #expect(run.on(.upstreamRefused(.noUpstreams)).contains(.respond(.declined, closes: false)))
        run = Run(post(), .streamed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.upstreamDeclined(.declined)) == [.stopUpload, .abortUpstream, .respond(.declined, closes: true), .finish(.failed, .close)])
    }

    @Test("retry: once a service may have seen the request, no later failure says that none has")
    func neverForgotten() {
        var run = Run(get())
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        run.on(.upstreamClosed)
        run.on(.upstreamOpened(confirmed: false, isLast: false))
        run.on(.upstreamClosed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.upstreamDeclined(.declined)).contains(.respond(.lost, closes: false)))
        #expect(!ProxyError.lost.reachedNoService && ProxyError.declined.reachedNoService)
    }

    @Test("retry: a fresh connection to the only service is the last")
    func lastUpstream() {
        var run = Run(get())
        run.on(.upstreamOpened(confirmed: true, isLast: true))
        #expect(run.on(.upstreamClosed).contains(.respond(.lost, closes: false)))
    }

    @Test("draining: a request under way is answered with close")
    func draining() {
        var run = Run(get())
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        run.exchange.stopKeepingClient()
        #expect(run.on(.responseHead(response())).contains(.writeResponse(closes: true)))
        #expect(run.on(.downloadEnded(.complete)).last == .finish(.complete, .close))
    }

    @Test("interim heads without end are no response")
    func endlessInterim() {
        var run = Run(get())
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        for _ in 0..<HTTPExchange.mostHeads { #expect(run.on(.responseHead(interimHead(103))) == [.writeInterim]) }
        #expect(run.on(.responseHead(interimHead(103))).contains(.respond(.badResponse, closes: false)))
    }

    @Test("retry: a held body can be sent again, also half way; a streamed one cannot")
    func retryBody() {
        var run = Run(put(), .held)
        #expect(run.on(.upstreamOpened(confirmed: true, isLast: false)) == [.sendRequest])
        #expect(run.on(.upstreamClosed) == [.abortUpstream, .select])
        #expect(run.on(.uploadEnded(.complete)) == [])
        #expect(run.on(.upstreamOpened(confirmed: true, isLast: false)) == [.sendRequest])
        run = Run(put(), .streamed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.upstreamClosed) == [.stopUpload, .abortUpstream, .respond(.lost, closes: true), .finish(.failed, .close)])
    }

    @Test("retry: a streamed body that is through is gone: the client hears of the loss, and does not wait for what nobody sends")
    func retryStreamed() {
        var run = Run(put(), .streamed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.uploadEnded(.complete)) == [.startClock])
        #expect(run.on(.upstreamClosed) == [.abortUpstream, .respond(.lost, closes: false), .finish(.failed, .keep)])
    }

    @Test("retry: when no other upstream is left, the client hears of the one that failed")
    func lastRefusal() {
        var run = Run(get())
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        run.on(.upstreamClosed)
        #expect(run.on(.upstreamRefused(.noUpstreams)).contains(.respond(.lost, closes: false)))
        run = Run(get())
        #expect(run.on(.upstreamRefused(.noUpstreams)).contains(.respond(.noUpstreams, closes: false)))
    }

    @Test("retry: never once the response has begun")
    func noRetryAfterHead() {
        var run = Run(get())
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        run.on(.responseHead(response()))
        #expect(run.on(.upstreamClosed) == [])
        #expect(run.on(.downloadEnded(.sourceBroke)) == [.abortUpstream, .finish(.truncated, .abort)])
    }

    // MARK: Early responses

    @Test("early response: delivered; the body may finish, then the client stays")
    func earlyThenComplete() {
        var run = Run(post(), .streamed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.responseHead(response())).contains(.writeResponse(closes: false)))
        #expect(run.on(.downloadEnded(.complete)) == [.startLinger])
        #expect(run.on(.lingerFired(moving: true)) == [.startLinger])
        #expect(run.on(.uploadEnded(.complete)) == [.releaseUpstream(reusable: true), .finish(.complete, .keep)])
    }

    @Test("early response: a body that stands still is broken off behind it, gently")
    func earlyThenStill() {
        var run = Run(post(), .streamed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        run.on(.responseHead(response()))
        run.on(.downloadEnded(.complete))
        #expect(run.on(.lingerFired(moving: false)) == [.stopUpload, .abortUpstream, .finish(.complete, .close)])
    }

    @Test("early response: a service that closes after it reads no more: said and done")
    func earlyAndCloses() {
        var run = Run(post(), .streamed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.responseHead(response(keepAlive: false))).contains(.writeResponse(closes: true)))
        #expect(run.on(.downloadEnded(.complete)) == [.stopUpload, .abortUpstream, .finish(.complete, .close)])
    }

    @Test("early response: the upload breaks at the service, the response still arrives")
    func earlyAfterBreak() {
        var run = Run(post(), .streamed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.uploadEnded(.sinkBroke)) == [])
        #expect(run.on(.responseHead(response())).contains(.writeResponse(closes: true)))
        #expect(run.on(.downloadEnded(.complete)) == [.abortUpstream, .finish(.complete, .close)])
    }

    @Test("100-continue: a final answer instead of it ends the connection, since the body may never come")
    func expectRefused() {
        var request = post()
        request.expectsContinue = true
        var run = Run(request, .streamed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.responseHead(response())).contains(.writeResponse(closes: true)))
        run = Run(request, .streamed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        run.on(.responseHead(interimHead(100)))
        run.on(.uploadEnded(.complete))
        #expect(run.on(.responseHead(response())).contains(.writeResponse(closes: false)))
    }

    // MARK: Breaks

    @Test("a client that leaves ends the upstream at once, in every phase")
    func clientGone() {
        var run = Run(get())
        #expect(run.on(.clientGone) == [.cancelSelection, .finish(.clientGone, .abort)])
        run = Run(post(), .streamed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.clientGone) == [.stopUpload, .abortUpstream, .finish(.cutShort, .abort)])
        run = Run(get())
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        run.on(.responseHead(response(.chunked)))
        #expect(run.on(.clientGone) == [.abortUpstream, .stopDownload, .finish(.clientGone, .abort)])
    }

    @Test("a request's body that breaks off ends both sides; behind the whole response it is nobody's fault")
    func bodyBroken() {
        var run = Run(post(), .streamed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.uploadEnded(.sourceBroke)) == [.abortUpstream, .finish(.cutShort, .abort)])
        run = Run(post(), .streamed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        run.on(.responseHead(response()))
        run.on(.downloadEnded(.complete))
        #expect(run.on(.uploadEnded(.sourceBroke)).last == .finish(.complete, .abort))
    }

    @Test("a malformed body: 400 before a response, a broken connection behind its head")
    func badBody() {
        var run = Run(post(), .streamed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.uploadEnded(.malformed)) == [.abortUpstream, .respondBadBody, .finish(.badBody, .close)])
        run = Run(post(), .streamed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        run.on(.responseHead(response(.chunked)))
        #expect(run.on(.uploadEnded(.malformed)) == [.abortUpstream, .stopDownload, .finish(.badBody, .abort)])
    }

    @Test("a truncated or malformed response never looks complete")
    func truncated() {
        for (end, outcome) in [(BodyEnd.sourceBroke, ExchangeOutcome.truncated), (.malformed, .badResponseBody)] {
            var run = Run(get())
            run.on(.upstreamOpened(confirmed: true, isLast: false))
            run.on(.responseHead(response(.chunked)))
            #expect(run.on(.downloadEnded(end)) == [.abortUpstream, .finish(outcome, .abort)])
        }
    }

    @Test("what is no response is a 502, without another try")
    func badResponse() {
        var run = Run(get())
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.badResponse) == [.abortUpstream, .respond(.badResponse, closes: false), .finish(.failed, .keep)])
    }

    // MARK: Clocks

    @Test("clock: 504 while the service is waited for, and while a selection hangs")
    func timeout() {
        var run = Run(get())
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.clockFired(stuck: false)) == [.abortUpstream, .respond(.timeout, closes: false), .finish(.failed, .keep)])
        run = Run(get())
        #expect(run.on(.clockFired(stuck: false)) == [.cancelSelection, .respond(.timeout, closes: false), .finish(.failed, .keep)])
    }

    @Test("clock: a client that uploads slowly is waited for, a service that takes nothing is not")
    func slowUpload() {
        var run = Run(post(), .streamed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.clockFired(stuck: false)) == [.startClock])
        #expect(run.on(.clockFired(stuck: true)).contains(.respond(.timeout, closes: true)))
    }

    @Test("a body that is announced and never comes: 408, a broken connection once the response goes out")
    func stalledUpload() {
        var run = Run(post(), .streamed)
        #expect(run.log == [.startClock, .watchUpload, .select])
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.clockFired(stuck: false)) == [.startClock])
        #expect(run.on(.uploadWatched(moving: true)) == [.watchUpload])
        #expect(run.on(.uploadWatched(moving: false)).contains(.respond(.clientTimeout, closes: true)))
        run = Run(put(), .held)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        run.on(.responseHead(response(.chunked)))
        #expect(run.on(.uploadWatched(moving: true)) == [.watchUpload])
        #expect(run.on(.uploadWatched(moving: false)).last == .finish(.overdue, .abort))
    }

    @Test("a request whose body is through may wait for its response, and a tunnel for its bytes, as long as it takes")
    func nothingToWatch() {
        var run = Run(get())
        #expect(!run.log.contains(.watchUpload))
        run = Run(post(), .streamed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        run.on(.uploadEnded(.complete))
        #expect(run.on(.uploadWatched(moving: false)) == [])
        run = Run(upgrade())
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        run.on(.responseHead(switching()))
        #expect(run.on(.uploadWatched(moving: false)) == [])
    }

    @Test("total limits: 408 while the request comes in, a broken connection once the response goes out")
    func overdue() {
        var run = Run(post(), .streamed)
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.overdue).contains(.respond(.clientTimeout, closes: true)))
        run = Run(get())
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        run.on(.responseHead(response(.chunked)))
        #expect(run.on(.overdue) == [.abortUpstream, .stopDownload, .finish(.overdue, .abort)])
    }

    // MARK: Tunnels

    @Test("upgrade: both directions end by themselves, the second end ends all")
    func tunnel() {
        var run = Run(upgrade())
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        #expect(run.on(.responseHead(switching())) == [.stopClock, .writeResponse(closes: false), .startTunnel])
        #expect(run.on(.downloadEnded(.complete)) == [])
        #expect(run.on(.uploadEnded(.complete)) == [.releaseUpstream(reusable: false), .finish(.complete, .close)])
    }

    @Test("upgrade: a break on either side ends both")
    func tunnelBreaks() {
        var run = Run(upgrade())
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        run.on(.responseHead(switching()))
        #expect(run.on(.downloadEnded(.sourceBroke)).last == .finish(.upstreamGone, .abort))
        run = Run(upgrade())
        run.on(.upstreamOpened(confirmed: true, isLast: false))
        run.on(.responseHead(switching()))
        #expect(run.on(.downloadEnded(.complete)) == [])
        #expect(run.on(.uploadEnded(.sourceBroke)) == [.abortUpstream, .finish(.clientGone, .abort)])
    }

    // MARK: Every order

    @Test("every order of events: one finish and it is last, at most one final head, one sending for each opening")
    func everyOrder() {
        for (request, body) in [(get(), RequestBody.whole), (put(), .held), (post(), .streamed), (upgrade(), .whole)] {
            walk(Run(request, body), depth: 3)
            var opened = Run(request, body)
            opened.on(.upstreamOpened(confirmed: true, isLast: false))
            walk(opened, depth: 3)
            opened.on(.responseHead(response()))
            walk(opened, depth: 3)
        }
    }

    private func walk(_ run: Run, depth: Int) {
        guard depth > 0, run.exchange.phase != .over else { return }
        for event in everyEvent {
            var next = run
            next.on(event)
            guard next.isSound else {
                Issue.record("\(next.events) gave \(next.log)")
                return
            }
            walk(next, depth: depth - 1)
        }
    }
}
