// SPDX-License-Identifier: MIT
// Which addresses `cluster.join` means.
// The resolver is asked for names that every machine knows, and for one that none may know (RFC 2606).

import PikoCore
import PikoEngine
import Testing

@testable import PikoControl

@Suite struct SeedLookupTests {
    @Test("seeds: without a port the gossip port, IPv6 with and without brackets")
    func ports() throws {
        var cluster = ClusterConfiguration()
        cluster.join = ["a", "b.c:1", "10.0.0.1", "[::1]", "[::1]:2", "::1"]
        #expect(cluster.seeds(defaultPort: 8003).map(\.description) == ["a:8003", "b.c:1", "10.0.0.1:8003", "[::1]:8003", "[::1]:2", "[::1]:8003"])
        var configuration = ServerConfiguration()
        configuration.cluster = cluster
        try configuration.check()
        for wrong in ["", ":1", "a:x", "a b", "a/b"] {
            configuration.cluster.join = [wrong]
            #expect(throws: ConfigurationError.self) { try configuration.check() }
        }
    }

    @Test("look-up: numeric seeds answer themselves, each address once, a name that fails is left out")
    func lookup() throws {
        let loop = try EventLoop(name: "test")
        try loop.start()
        let seen = LoopBound<[SeedLookup.Answer]>(on: loop)
        let held = LoopBound<SeedLookup>(on: loop)
        let turnstile = Turnstile()
        loop.sync {
            let seeds = ["10.0.0.1:1", "10.0.0.1:1", "[::1]:2", "none.invalid:3"].compactMap { HostPort($0) }
            seen.value = []
            held.value = SeedLookup(seeds, on: loop) {
                seen.value?.append($0)
                turnstile.wake()
            }
            held.value?.ask()
            held.value?.ask()
        }
        #expect(turnstile.wait(atMost: 10_000) { seen.sync { $0.count } == 1 })
        let answer = seen.sync { $0.first.map { ($0.addresses, $0.fresh) } } ?? nil
        #expect(answer?.0 == ["10.0.0.1:1", "[::1]:2"])
        #expect(answer?.1 == ["10.0.0.1:1", "[::1]:2"])
        loop.sync {
            held.value?.end()
            held.value = nil
            seen.value = nil
        }
        loop.stop()
        #expect(loop.join() == EngineCounts())
    }
}
