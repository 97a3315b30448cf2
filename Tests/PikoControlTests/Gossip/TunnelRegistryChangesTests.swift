// SPDX-License-Identifier: MIT
// How the table of tunnels tells which endpoints have changed.
// No loops; real threads where it says so.

import Dispatch
import PikoCore
import Synchronization
import Testing

@testable import PikoControl

@Suite struct TunnelRegistryChangesTests {
    private func opened(_ registry: TunnelRegistry, _ endpoint: String) throws -> TunnelID {
        let id = try #require(registry.place())
        registry.open(id, endpoint: endpoint)
        return id
    }

    @Test("changes: the watcher is called for the first, and again once they were taken; each endpoint has its count of now")
    func coalesced() throws {
        let registry = TunnelRegistry(loops: 2, limit: 0)
        let calls = Atomic<Int>(0)
        registry.watch { calls.add(1, ordering: .relaxed) }
        let first = try opened(registry, "a")
        _ = try opened(registry, "a")
        _ = try opened(registry, "b")
        #expect(calls.load(ordering: .relaxed) == 1)
        #expect(registry.takeChanges() == ["a": 2, "b": 1])
        #expect(registry.takeChanges() == [:])
        registry.retire(first)
        registry.leave(first)
        #expect(calls.load(ordering: .relaxed) == 2)
        #expect(registry.takeChanges() == ["a": 1])
        registry.leave(first)
        #expect(calls.load(ordering: .relaxed) == 2, "what was not listed any more is no change")
    }

    @Test("changes: what was there before the watcher counts as changed; a place without a tunnel does not")
    func before() throws {
        let registry = TunnelRegistry(loops: 1, limit: 0)
        _ = try opened(registry, "a")
        registry.leave(try #require(registry.place()))
        let calls = Atomic<Int>(0)
        registry.watch { calls.add(1, ordering: .relaxed) }
        #expect(calls.load(ordering: .relaxed) == 1)
        #expect(registry.takeChanges() == ["a": 1])
    }

    @Test("changes: the watcher may take them at once, for no lock is held")
    func inside() throws {
        let registry = TunnelRegistry(loops: 1, limit: 0)
        let seen = Mutex<[String: Int]>([:])
        registry.watch { [unowned registry] in
            let changes = registry.takeChanges()
            seen.withLock { $0.merge(changes) { _, new in new } }
        }
        DispatchQueue.concurrentPerform(iterations: 4) { thread in
            for number in 0..<500 {
                guard let id = registry.place() else { continue }
                registry.open(id, endpoint: "e\(number % 50)")
                if thread % 2 == 0 { registry.leave(id) }
            }
        }
        seen.withLock { $0.merge(registry.takeChanges()) { _, new in new } }
        // The last batch of a thread may have been merged before another's: the counts are the registry's, the keys are all there.
        #expect(seen.withLock { Set($0.keys) } == Set(registry.listeners.keys))
    }
}
