// SPDX-License-Identifier: MIT
// What the table of tunnels promises: turns, exclusion, sets instead of counts.
// No sockets, no clock; runs on the test's thread.

import PikoCore
import Testing

@Suite struct UpstreamTableTests {
    private func table(_ loops: [Int]) -> (UpstreamTable, [TunnelID]) {
        var table = UpstreamTable()
        let ids = loops.enumerated().map { TunnelID(loop: $1, session: UInt64($0)) }
        for id in ids { table.add(id, endpoint: "web") }
        return (table, ids)
    }

    @Test("select: two tunnels serve in turn")
    func turns() {
        var (table, ids) = table([0, 1])
        let chosen = (0..<6).map { _ in table.select(endpoint: "web", home: nil, excluding: []) }
        #expect(chosen == [ids[0], ids[1], ids[0], ids[1], ids[0], ids[1]])
    }

    @Test("select: a tunnel that was removed is not selected again")
    func removed() {
        var (table, ids) = table([0, 1])
        let (first, again) = (table.remove(ids[0]), table.remove(ids[0]))
        #expect(first)
        #expect(!again)
        for _ in 0..<4 { #expect(table.select(endpoint: "web", home: nil, excluding: []) == ids[1]) }
        table.remove(ids[1])
        #expect(table.select(endpoint: "web", home: nil, excluding: []) == nil)
        #expect(table.endpointCount == 0)
    }

    @Test("select: who cannot leave its loop gets tunnels of that loop only, in turn")
    func bound() {
        var (table, ids) = table([0, 1, 1])
        let chosen = (0..<4).map { _ in table.select(endpoint: "web", home: 1, isBound: true, excluding: []) }
        #expect(chosen == [ids[1], ids[2], ids[1], ids[2]])
        #expect(table.select(endpoint: "web", home: 2, isBound: true, excluding: []) == nil)
        #expect(table.select(endpoint: "web", home: 0, isBound: true, excluding: [ids[0]]) == nil)
        #expect(table.loops(of: "web") == [0, 1, 1])
        #expect(table.loops(of: "other") == [])
    }

    @Test("select: what was tried is not tried again")
    func exclusion() {
        var (table, ids) = table([0, 0])
        #expect(table.select(endpoint: "web", home: nil, excluding: [ids[0]]) == ids[1])
        #expect(table.select(endpoint: "web", home: nil, excluding: ids) == nil)
        #expect(table.select(endpoint: "other", home: nil, excluding: []) == nil)
    }

    @Test("select: a connection stays at home, but never more than the advantage ahead")
    func home() {
        var (table, ids) = table([0, 1])
        var counts: [TunnelID: Int] = [:]
        for _ in 0..<100 { counts[table.select(endpoint: "web", home: 0, excluding: [])!, default: 0] += 1 }
        #expect(counts[ids[0]]! - counts[ids[1]]! <= Int(UpstreamTable.homeAdvantage))
        #expect(counts[ids[0]]! >= counts[ids[1]]!)
    }

    @Test("select: a host name finds an endpoint that differs from it in case only, other names do not")
    func hostNames() {
        var table = UpstreamTable()
        let mixed = TunnelID(loop: 0, session: 1)
        let lower = TunnelID(loop: 0, session: 2)
        table.add(mixed, endpoint: "MyShop")
        #expect(table.select(endpoint: "myshop", isHostName: true, home: nil, excluding: []) == mixed)
        #expect(table.select(endpoint: "myshop", home: nil, excluding: []) == nil)
        #expect(table.select(endpoint: "MyShop", home: nil, excluding: []) == mixed)
        table.add(lower, endpoint: "myshop")
        #expect(table.select(endpoint: "myshop", isHostName: true, home: nil, excluding: []) == lower)
        table.remove(lower)
        table.remove(mixed)
        #expect(table.select(endpoint: "myshop", isHostName: true, home: nil, excluding: []) == nil)
    }

    @Test("count: as many as can be selected, by the host's name too")
    func count() {
        var (table, ids) = table([0, 1])
        table.add(TunnelID(loop: 0, session: 7), endpoint: "MyShop")
        #expect(table.count(endpoint: "web") == 2 && table.count(endpoint: "web", excluding: [ids[0]]) == 1)
        #expect(table.count(endpoint: "myshop", isHostName: true) == 1 && table.count(endpoint: "myshop") == 0)
    }

    @Test("view: a host name means another node's endpoint that differs in case only, where none is spelled just so")
    func hostNamesElsewhere() {
        var view = ClusterView(localID: "me")
        var random = SystemRandomNumberGenerator()
        for (id, endpoint) in [("mixed", "MyShop"), ("lower", "myshop")] {
            for change in [ClusterChange.added(id: id), .proxyAddress(id: id, "p"), .adminAddress(id: id, "a"), .endpoint(id: id, endpoint: endpoint, listeners: 2)] {
                view.apply(change)
            }
        }
        #expect(view.select(endpoint: "myshop", isHostName: true, using: &random)?.id == "lower")
        view.apply(.removed(id: "lower"))
        #expect(view.select(endpoint: "myshop", using: &random) == nil)
        #expect(view.select(endpoint: "myshop", isHostName: true, using: &random)?.id == "mixed")
        #expect(view.remoteListeners("myshop", isHostName: true) == 2)
        view.apply(.endpoint(id: "mixed", endpoint: "MyShop", listeners: 0))
        #expect(view.select(endpoint: "myshop", isHostName: true, using: &random) == nil)
    }

    @Test("trail: it ends where the request has been, and where it is too long to tell")
    func trail() {
        for (list, expected) in [
            ("", false), ("a", true), ("b", false), ("b, a", true), ("aa,ab", false), (" b ,a ", true), (String(repeating: "b,", count: 257), true),
        ] {
            let bytes = Array(list.utf8)
            #expect(bytes.withUnsafeBytes { NodeTrail.ends($0, at: "a") } == expected, "\(list)")
        }
    }

    @Test("add: a tunnel that comes late gets its share, not the backlog")
    func late() {
        var (table, _) = table([0])
        for _ in 0..<50 { _ = table.select(endpoint: "web", home: nil, excluding: []) }
        let newcomer = TunnelID(loop: 1, session: 9)
        table.add(newcomer, endpoint: "web")
        let chosen = (0..<10).compactMap { _ in table.select(endpoint: "web", home: nil, excluding: []) }
        #expect(chosen.filter { $0 == newcomer }.count == 5)
        #expect(table.listeners == ["web": 2])
    }
}
