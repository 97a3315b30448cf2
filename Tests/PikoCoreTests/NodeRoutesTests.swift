// SPDX-License-Identifier: MIT
// What a node learns about where another node's tunnels are, and the list in which nodes say so.
// No sockets, an injected clock; runs on the test's thread.

import Testing

@testable import PikoCore

@Suite struct NodeRoutesTests {
    @Test("routes: what was never learned goes over a connection of its own")
    func unknown() {
        var routes = NodeRoutes()
        #expect(routes.loop(for: "web", now: 0) == nil)
        routes.learn("web", loops: [], now: 0)
        #expect(routes.loop(for: "web", now: 0) == nil)
    }

    @Test("routes: tunnels get requests in turn, one learned later too")
    func turns() {
        var routes = NodeRoutes()
        routes.learn("web", loops: [0, 1, 1], now: 0)
        let first = (0..<6).map { _ in routes.loop(for: "web", now: 1) }
        #expect(first.count { $0 == 0 } == 2 && first.count { $0 == 1 } == 4)
        routes.learn("web", loops: [2], now: 2)
        #expect(routes.loop(for: "web", now: 3) == 2)
    }

    @Test("routes: after a while one request asks again while the others go on")
    func freshness() {
        var routes = NodeRoutes()
        routes.learn("web", loops: [3], now: 100)
        #expect(routes.loop(for: "web", now: 100 + NodeRoutes.freshness - 1) == 3)
        let late = 100 + NodeRoutes.freshness
        #expect(routes.loop(for: "web", now: late) == nil)
        #expect(routes.loop(for: "web", now: late) == 3)
        #expect(routes.loop(for: "web", now: late + NodeRoutes.asking) == nil)
    }

    @Test("routes: what is forgotten is not known, other endpoints are")
    func forgotten() {
        var routes = NodeRoutes()
        routes.learn("web", loops: [1], now: 0)
        routes.learn("api", loops: [0], now: 0)
        routes.forget("web")
        #expect(routes.loop(for: "web", now: 1) == nil)
        #expect(routes.loop(for: "api", now: 1) == 0)
    }

    @Test("routes: however many endpoints there are, so many are remembered at most")
    func bound() {
        var routes = NodeRoutes()
        let count = NodeRoutes.mostRoutes + 10
        for index in 0..<count { routes.learn("e\(index)", loops: [0], now: 0) }
        #expect((0..<count).count { routes.loop(for: "e\($0)", now: 1) != nil } <= NodeRoutes.mostRoutes)
        #expect(routes.loop(for: "e\(count - 1)", now: 1) == 0)
    }

    @Test("routes: a session is dialled again after a time that depends on what happened")
    func setbacks() {
        var waits: [UInt64] = []
        for setback in [NodeRoutes.Setback.lost, .notNow, .unknown] {
            var routes = NodeRoutes()
            #expect(routes.mayDial(now: 50))
            routes.meet(setback, now: 50)
            let wait = (0...100_000).first { routes.mayDial(now: 50 + $0) } ?? 0
            waits.append(wait)
        }
        #expect(waits == [1_000, 5_000, 60_000])
    }

    @Test("routes: a shorter wait does not undo a longer one")
    func longestWait() {
        var routes = NodeRoutes()
        routes.meet(.unknown, now: 0)
        routes.meet(.lost, now: 10)
        #expect(!routes.mayDial(now: 59_999))
        #expect(routes.mayDial(now: 60_000))
    }

    @Test("loop list: what is written is read", arguments: [[0], [1, 0, 255], Array(repeating: 7, count: LoopList.longest)])
    func roundTrip(_ loops: [Int]) {
        let writer = HeadWriter()
        LoopList.append(loops, to: writer)
        let line = String(decoding: writer.bytes, as: UTF8.self)
        #expect(line.hasPrefix("x-piko-loops: ") && line.hasSuffix("\r\n"))
        let value = Array(line.utf8.dropFirst(14).dropLast(2))
        #expect(value.withUnsafeBytes(LoopList.read).map { $0.map(Int.init) } == loops)
    }

    @Test("loop list: no loop is no line, and of too many some are named")
    func bounds() {
        let writer = HeadWriter()
        LoopList.append([], to: writer)
        #expect(writer.count == 0)
        LoopList.append(Array(0..<100), to: writer)
        let value = Array(writer.bytes.dropFirst(14).dropLast(2))
        #expect(value.withUnsafeBytes(LoopList.read)?.count == LoopList.longest)
    }

    @Test(
        "loop list: what is none is not read",
        arguments: ["", " ", "a", "0,", "0,,1", "-1", "256", "0 1", String(repeating: "0,", count: LoopList.longest) + "0"])
    func malformed(_ text: String) {
        #expect(Array(text.utf8).withUnsafeBytes(LoopList.read) == nil)
    }
}
