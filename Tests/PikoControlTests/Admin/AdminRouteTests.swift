// SPDX-License-Identifier: MIT
// Who answers a question to the admin port, and what the pages look like.
// Pure: no sockets, no clock.

import PikoCore
import Testing

@testable import PikoControl

@Suite struct AdminRouteTests {
    private func route(_ target: String, isForwarded: Bool = false) -> AdminRoute {
        AdminRoute(AdminRequest(target, isForwarded: isForwarded), localID: "me")
    }

    @Test(
        "each page has its path",
        arguments: [
            ("/health", .health), ("/ready", .ready), ("/metrics", .metrics), ("/status/upstream/endpoints", .endpoints),
            ("/status/cluster/nodes", .clusterNodes), ("/status/cluster/nodes/", .clusterNodes),
            ("/status/cluster/nodes/local", .clusterNode("local")), ("/status/cluster/nodes/a%2fb", .clusterNode("a/b")),
            ("/status/gossip/nodes?x=1", .gossipNodes), ("/status/gossip/nodes/n%zz", .gossipNode("n%zz")),
        ] as [(String, AdminPage)])
    func pages(target: String, page: AdminPage) { #expect(route(target) == .here(page)) }

    @Test("what is no page is nowhere", arguments: ["/", "/x", "/status", "/status/cluster", "/status/cluster/nodes/a/b", "/health/x"])
    func nowhere(target: String) { #expect(route(target) == .nowhere("not found")) }

    @Test("forward: another node answers, whatever is asked")
    func forward() {
        #expect(route("/status/gossip/nodes?forward=n1") == .node("n1"))
        #expect(route("/metrics?x=1&forward=n%201") == .node("n 1"))
        #expect(route("/nothing?forward=n1") == .node("n1"))
        #expect(route("/ready?forward=") == .node(""))
        #expect(route("/ready?forwarder=n1") == .here(.ready))
    }

    @Test("forward: a node that is meant itself answers itself")
    func itself() {
        #expect(route("/ready?forward=me") == .here(.ready))
        #expect(route("/ready?forward=me", isForwarded: true) == .here(.ready))
    }

    @Test("forward: what was passed on is not passed on again")
    func once() { #expect(route("/ready?forward=n1", isForwarded: true) == .nowhere("this node is me, not n1")) }

    @Test("a node as both lists and its own page have it: the original's names in its order")
    func nodes() {
        var view = ClusterView(localID: "n")
        for change in [
            ClusterChange.added(id: "n"), .proxyAddress(id: "n", "p:1"), .adminAddress(id: "n", "a:1"),
            .endpoint(id: "n", endpoint: "web", listeners: 2), .endpoint(id: "n", endpoint: "db", listeners: 1),
        ] { view.apply(change) }
        let node = view.nodes[0]
        let place = #""id":"n","status":"active","proxy_addr":"p:1","admin_addr":"a:1""#
        #expect(JSONValue(summaryOf: node).text == "{\(place),\"endpoints\":2,\"upstreams\":3}")
        #expect(JSONValue(node).text == "{\(place),\"endpoints\":{\"db\":1,\"web\":2}}")
    }

    @Test("gossip: a node's facts and keys; no expiry is Go's zero time")
    func gossip() {
        var gossip = Gossip(
            GossipSettings(peer: GossipPeer(id: "n", address: "g:1"), proxyAddress: "p:1", adminAddress: "a:1"),
            random: GossipRandom(seed: 1), now: 0)
        _ = gossip.handle(.listeners(endpoint: "web", 2), now: 0)
        let clock = WallClock(loopNow: 0, wallNow: 0)
        let facts = #"{"id":"n","addr":"g:1","version":3,"left":false,"unreachable":false,"expiry":"0001-01-01T00:00:00Z""#
        #expect(JSONValue(gossip.nodes[0], clock: clock).text == facts + "}")
        let text = JSONValue(gossip.nodes[0], entries: gossip.entries("n"), clock: clock).text
        #expect(text.hasPrefix(facts + #","Entries":[{"key":"proxy_addr","value":"p:1","version":1,"internal":false,"deleted":false},"#))
        #expect(text.hasSuffix(#"{"key":"endpoint:web","value":"2","version":3,"internal":false,"deleted":false}]}"#))
    }

    @Test("an expiry is a date, by the loop's clock")
    func expiry() {
        #expect(WallClock(loopNow: 5_000, wallNow: 1_000_000_000).text(65_250) == "2001-09-09T01:47:40.250Z")
        #expect(WallClock(loopNow: 5_000, wallNow: 1_000_000_000).text(4_000) == "2001-09-09T01:46:39.000Z")
    }

    @Test("JSON: what must be escaped is, all else stays")
    func json() {
        #expect(JSONValue.object([("b\"", .list([.text("\\\n\u{1}é"), .flag(true), .number(.max)])), ("a", .list([]))]).text
            == #"{"b\"":["\\\u000a\u0001é",true,18446744073709551615],"a":[]}"#)
    }

    @Test("JSON: what moves a terminal's cursor, and what is no text in YAML, is escaped")
    func controls() {
        #expect(JSONValue.text("\u{7E}\u{7F}\u{80}\u{9B}\u{A0}\u{2027}\u{2028}\u{2029}\u{FEFF}\u{FFFD}\u{FFFE}\u{FFFF}\u{10FFFF}").text
            == "\"~\\u007f\\u0080\\u009b\u{A0}\u{2027}\\u2028\\u2029\\ufeff\u{FFFD}\\ufffe\\uffff\u{10FFFF}\"")
    }

    @Test("metrics: nodes by status, keys by node")
    func metrics() {
        var gossip = Gossip(
            GossipSettings(peer: GossipPeer(id: "n", address: "g:1"), proxyAddress: "p:1", adminAddress: "a:1", versionBase: 7),
            random: GossipRandom(seed: 1), now: 0)
        for count in [1, 0] { _ = gossip.handle(.listeners(endpoint: "web", count), now: 0) }
        var page = PrometheusText()
        page.add(clusterNodes: [.active, .left, .active])
        page.add(gossip.counters, lostPackets: 4, gossip.nodes)
        for line in [
            #"piko_cluster_nodes{status="active"} 2"#, #"piko_cluster_nodes{status="unreachable"} 0"#, #"piko_cluster_nodes{status="left"} 1"#,
            #"piko_gossip_entries{node_id="n",deleted="false",internal="false"} 2"#,
            #"piko_gossip_entries{node_id="n",deleted="false",internal="true"} 1"#,
            #"piko_gossip_entries{node_id="n",deleted="true",internal="false"} 1"#,
            "piko_gossip_connections_inbound_total 0", "piko_gossip_malformed_messages_total 0", "piko_gossip_lost_packets_total 4",
        ] { #expect(page.text.contains("\n\(line)\n"), "\(line)") }
    }
}
