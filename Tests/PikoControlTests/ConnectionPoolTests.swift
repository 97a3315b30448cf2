// SPDX-License-Identifier: MIT
// What a pool gives out for a request that cannot be sent again, when the service closes at that very moment.
// A real service's socket on loopback; the loop is held in one turn, so that it cannot have heard of the end.

import PikoCore
import PikoEngine
import Testing

@testable import PikoControl

@Suite struct ConnectionPoolTests {
    /// Waits for one connection of a pool and remembers it.
    private final class Receiver: UpstreamReceiver, ConnectionHandler {
        var opened: OpenedUpstream?
        let turnstile: Turnstile

        init(_ turnstile: Turnstile) { self.turnstile = turnstile }

        func upstreamDidOpen(_ upstream: OpenedUpstream) {
            opened = upstream
            turnstile.wake()
        }
        func upstreamDidFail(_ error: ProxyError) { turnstile.wake() }
        func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int { bytes.count }
        func connectionDidClose(_ connection: Connection, error: EngineError?) {}
    }

    private final class Place {
        let pool: ConnectionPool
        let receiver: Receiver
        init(_ pool: ConnectionPool, _ receiver: Receiver) {
            self.pool = pool
            self.receiver = receiver
        }
    }

    /// Whether an idle connection, whose service has closed it in this very turn, is given out.
    private func isGivenOut(isOnlyChance: Bool) throws -> Bool {
        let service = try TestSocket.listening()
        let loop = try EventLoop(name: "test")
        try loop.start()
        let held = LoopBound<Place>(on: loop)
        let turnstile = Turnstile()
        let log = Log(sink: LogSink(configuration: LogConfiguration()) { _ in true })
        let port = service.port
        loop.sync {
            let pool = ConnectionPool(ConnectionPoolSettings(host: "127.0.0.1", port: port, dialTimeout: 5_000), loop: loop, log: log)
            let place = Place(pool, Receiver(turnstile))
            held.value = place
            _ = pool.acquire(place.receiver, for: place.receiver)
        }
        #expect(turnstile.wait(atMost: 5_000) { held.sync { $0.receiver.opened != nil } ?? false })
        let accepted = try service.accept()
        let isGivenOut = loop.sync { () -> Bool? in
            guard let place = held.value, let opened = place.receiver.opened else { return false }
            place.pool.release(opened.connection, reusable: true)
            accepted.shut()
            let answer = place.pool.acquire(place.receiver, for: place.receiver, isOnlyChance: isOnlyChance)
            defer { place.receiver.opened = nil }
            guard case .opened(let second) = answer else {
                place.pool.cancel(place.receiver)
                return false
            }
            second.connection.abort()
            return true
        }
        loop.sync {
            held.value?.pool.drain()
            held.value = nil
        }
        loop.stop()
        #expect(loop.join() == EngineCounts())
        return try #require(isGivenOut ?? nil)
    }

    @Test("a request that cannot be sent again does not go to a connection whose end the system knows already")
    func onlyChance() throws {
        #expect(try !isGivenOut(isOnlyChance: true))
        #expect(try isGivenOut(isOnlyChance: false))
    }
}
