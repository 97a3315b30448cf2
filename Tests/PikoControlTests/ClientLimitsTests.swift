// SPDX-License-Identifier: MIT
// What one client may have of a node: connections at once, requests a second; who is one client, and who is none of them. The node is real, its
// clients are sockets of the test with addresses of their own.

import PikoCore
import PikoEngine
import Testing

@testable import PikoControl

@Suite(.serialized) struct ClientLimitsTests {
    private static let get = "GET /x HTTP/1.1\r\nHost: my.example\r\n\r\n"

    private func status(_ socket: TestSocket) throws -> String {
        let head = try socket.read(until: "\r\n\r\n")
        return String(head.split(separator: "\r\n")[0].dropFirst(9).prefix(3))
    }

    @Test("places: each is given back when nobody holds it, and a client without any is forgotten")
    func places() {
        let places = ClientPlaces()
        var held = (0..<3).map { _ in places.take(for: 1, limit: 3) }
        #expect(held.allSatisfy { $0 != nil })
        #expect(places.take(for: 1, limit: 3) == nil)
        #expect(places.take(for: 2, limit: 3) != nil)
        held.removeLast()
        held.append(places.take(for: 1, limit: 3))
        #expect(held[2] != nil)
        #expect(places.clientCount == 1)
        held = []
        #expect(places.clientCount == 0)
    }

    @Test("connections: beyond a client's own limit it gets a 429, another client does not")
    func connections() throws {
        try NodeStage.run { $0.proxy.limits.connectionsPerIP = 2 } _: { stage in
            let held = try [stage.connect(from: "127.0.0.5"), stage.connect(from: "127.0.0.5")]
            for socket in held {
                try socket.send(Self.get)
                #expect(try status(socket) == "502")
            }
            let head = try stage.connect(from: "127.0.0.5").read(until: "\r\n\r\n")
            #expect(head.hasPrefix("HTTP/1.1 429 ") && head.contains("\r\nretry-after: 1\r\n"))
            let other = try stage.connect(from: "127.0.0.6")
            try other.send(Self.get)
            #expect(try status(other) == "502")
            #expect(stage.node.refusals.snapshot(requests: 0).connectionsOfClient == 1)
        }
    }

    @Test("connections: nodes of the cluster have no limit of their own")
    func members() throws {
        try NodeStage.run { $0.proxy.limits.connectionsPerIP = 1 } _: { stage in
            stage.node.cluster.apply(.added(id: "other"))
            stage.node.cluster.apply(.proxyAddress(id: "other", "127.0.0.7:1"))
            stage.node.cluster.apply(.adminAddress(id: "other", "127.0.0.7:1"))
            for socket in try [stage.connect(from: "127.0.0.7"), stage.connect(from: "127.0.0.7"), stage.connect(from: "127.0.0.7")] {
                try socket.send(Self.get)
                #expect(try status(socket) == "502")
            }
        }
    }

    @Test("requests: beyond the rate a client gets a 429 on a connection that goes on; another client and other nodes do not")
    func requests() throws {
        try NodeStage.run { $0.proxy.limits.requestsPerSecondPerIP = 1 } _: { stage in
            stage.node.cluster.apply(.added(id: "other"))
            stage.node.cluster.apply(.proxyAddress(id: "other", "127.0.0.7:1"))
            stage.node.cluster.apply(.adminAddress(id: "other", "127.0.0.7:1"))
            let client = try stage.connect(from: "127.0.0.5")
            try client.send(Self.get + Self.get + Self.get)
            let first = try client.read(until: "\r\n\r\n")
            #expect(first.hasPrefix("HTTP/1.1 502 ") && first.contains("content-length: 34\r\n"))
            _ = try client.read(34)
            for _ in 0..<2 {
                let head = try client.read(until: "\r\n\r\n")
                #expect(head.hasPrefix("HTTP/1.1 429 Too Many Requests\r\n") && head.contains("\r\nretry-after: 1\r\n"))
                #expect(!head.lowercased().contains("connection: close"))
                #expect(try client.read(29) == #"{"error":"too many requests"}"#)
            }
            for host in ["127.0.0.6", "127.0.0.7"] {
                let other = try stage.connect(from: host)
                try other.send(Self.get)
                #expect(try status(other) == "502")
            }
            let member = try stage.connect(from: "127.0.0.7")
            try member.send(Self.get)
            #expect(try status(member) == "502")
            #expect(stage.node.rates.refused == 2)
        }
    }

    @Test("clients: an IPv4 address, however it is written, or the /64 of an IPv6 one")
    func networks() throws {
        func network(_ host: String) throws -> UInt64 { try #require(SocketAddress(host: host, port: 1)).network }
        #expect(try network("10.0.0.1") == network("::ffff:10.0.0.1"))
        #expect(try network("10.0.0.1") != network("10.0.0.2"))
        #expect(try network("2001:db8:0:1::1") == network("2001:db8:0:1:ffff::2"))
        #expect(try network("2001:db8:0:1::1") != network("2001:db8:0:2::1"))
        #expect(try network("32.1.13.184") != network("2001:db8::"))
        #expect(try network("::1") != network("127.0.0.1"))
    }
}
