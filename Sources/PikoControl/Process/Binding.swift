// SPDX-License-Identifier: MIT
// Listening at a configured address on every loop of a group. Driven by the main thread at start; the listeners live on their loops.
// An address that is taken is an error, although the loops share it among themselves.

import Glibc
import PikoCore
import PikoEngine

/// A configured address that could not be listened at.
public struct BindFailure: Error, CustomStringConvertible, Sendable {
    /// The configuration's key.
    public let key: String
    public let address: HostPort
    public let reason: EngineError

    public var description: String { "\(key): cannot listen at \(address): \(reason)" }
}

/// Turns configured addresses into listeners.
enum Binding {
    /// Listens at a configured address on every loop of the group, by `listen` with each loop's state. Main thread only.
    /// - Returns: where, at least one address.
    @discardableResult
    static func listen<State>(
        at address: HostPort, key: String, on group: LoopGroup<State>,
        by listen: @escaping @Sendable (State, SocketAddress) throws(EngineError) -> Void
    ) throws(BindFailure) -> [SocketAddress] {
        let places = try resolve(address, key: key, on: group.members[0].loop)
        for place in places {
            for failure in group.sync({ attempt(listen, $0, place) }) {
                if let failure { throw BindFailure(key: key, address: address, reason: failure) }
            }
        }
        return places
    }

    /// The same on one loop alone.
    @discardableResult
    static func listen<State>(
        at address: HostPort, key: String, on member: LoopBound<State>,
        by listen: @escaping @Sendable (State, SocketAddress) throws(EngineError) -> Void
    ) throws(BindFailure) -> [SocketAddress] {
        let places = try resolve(address, key: key, on: member.loop)
        for place in places {
            if let failure = member.sync({ attempt(listen, $0, place) }) ?? nil {
                throw BindFailure(key: key, address: address, reason: failure)
            }
        }
        return places
    }

    private static func attempt<State>(
        _ listen: (State, SocketAddress) throws(EngineError) -> Void, _ state: State, _ place: SocketAddress
    ) -> EngineError? {
        do throws(EngineError) {
            try listen(state, place)
            return nil
        } catch {
            return error
        }
    }

    /// The numeric addresses to listen at, each free at this moment: all interfaces for an empty host, every address of a name.
    /// Main thread only. `loop`: where a name is looked up.
    static func resolve(_ address: HostPort, key: String, on loop: EventLoop) throws(BindFailure) -> [SocketAddress] {
        var reason = EngineError(code: -EADDRNOTAVAIL)
        var free: [SocketAddress] = []
        for candidate in try candidates(address, key: key, on: loop) {
            do throws(EngineError) {
                free.append(try Listener.probe(candidate))
                if address.host.isEmpty { return free }
            } catch {
                if error.code == -EADDRINUSE { throw BindFailure(key: key, address: address, reason: error) }
                reason = error
            }
        }
        if free.isEmpty { throw BindFailure(key: key, address: address, reason: reason) }
        return free
    }

    /// The numeric addresses that a configured one stands for; for an empty host the ways to say "all interfaces", best first.
    static func candidates(_ address: HostPort, key: String, on loop: EventLoop) throws(BindFailure) -> [SocketAddress] {
        if address.host.isEmpty { return ["::", "0.0.0.0"].compactMap { SocketAddress(host: $0, port: address.port) } }
        if let numeric = SocketAddress(host: address.host, port: address.port) { return [numeric] }
        switch NameLookup.wait(host: address.host, port: address.port, on: loop) {
        case .success(let addresses): return addresses
        case .failure(let error): throw BindFailure(key: key, address: address, reason: error)
        }
    }
}

/// A name looked up by the main thread, which waits for the answer.
enum NameLookup {
    static func wait(host: String, port: UInt16, on loop: EventLoop) -> Result<[SocketAddress], EngineError> {
        let turnstile = Turnstile()
        let slot = LoopBound<Result<[SocketAddress], EngineError>>(on: loop)
        loop.post {
            Resolver.resolve(host: host, port: port, on: loop) {
                slot.value = $0
                turnstile.wake()
            }
        }
        _ = turnstile.wait { loop.sync { slot.value != nil } ?? true }
        return loop.sync { slot.value } .flatMap { $0 } ?? .failure(.closed)
    }
}
