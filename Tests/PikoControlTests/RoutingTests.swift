// SPDX-License-Identifier: MIT
// Requests that cross nodes, between real sockets on loopback: what another node is sent, what is kept between requests, what is tried elsewhere, and
// what a member may say that others may not. The decisions have their own tests without sockets (ProxyExchangeTests).

import PikoCore
import PikoEngine
import Testing

@testable import PikoControl

@Suite(.serialized) struct RoutingTests {
    static let get = "GET /x HTTP/1.1\r\nHost: my.example\r\n\r\n"
    static let post = "POST /x HTTP/1.1\r\nHost: my.example\r\nContent-Length: 5\r\n\r\nhello"
    static let forwarded = "GET /x HTTP/1.1\r\nHost: my.example\r\nx-piko-forward: true\r\n\r\n"
    static let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    static let refusal = "HTTP/1.1 502 Bad Gateway\r\nx-piko-refused: 1\r\nContent-Length: 2\r\n\r\n{}"

    // MARK: What another node is sent

    @Test("another node that has the endpoint gets the request, on one connection for all")
    func forward() throws {
        try NodeStage.run { stage in
            let other = try TestSocket.listening()
            stage.add("other", at: other.port)
            let client = try stage.connect()
            try client.send(Self.get)
            let peer = try other.accept()
            for _ in 0..<2 {
                let head = try peer.serve(Self.answer)
                #expect(head.hasPrefix("GET /x HTTP/1.1\r\nHost: my.example\r\n"))
                #expect(head.contains("X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: my.example\r\n"))
                #expect(head.contains("x-piko-forward: true\r\n") && !head.contains("Connection"))
                #expect(head.hasSuffix("\r\nx-piko-node: local\r\n\r\n"))
                #expect(try client.read(Self.answer.utf8.count) == Self.answer)
                try client.send(Self.get)
            }
            #expect(stage.requests == ["other": 3])
        }
    }

    @Test("bodies cross nodes as they came: held, streamed, chunked, and TE with its nomination")
    func bodies() throws {
        let long = String(repeating: "x", count: 100_000)
        let chunked = "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"
        try NodeStage.run { stage in
            let other = try TestSocket.listening()
            stage.add("other", at: other.port)
            let client = try stage.connect()
            var peer: TestSocket?
            for (field, body) in [("Content-Length: 5", "hello"), ("Content-Length: 100000", long), ("Transfer-Encoding: chunked", chunked)] {
                try client.send("PUT /x HTTP/1.1\r\nHost: my.example\r\nTE: trailers\r\n\(field)\r\n\r\n\(body)")
                let socket = try peer ?? other.accept()
                peer = socket
                let head = try socket.read(until: "\r\n\r\n")
                #expect(head.contains("\(field)\r\n") && head.hasSuffix("TE: trailers\r\nx-piko-node: local\r\nConnection: TE\r\n\r\n"))
                #expect(try socket.read(body.utf8.count) == body)
                try socket.send(Self.answer)
                #expect(try client.read(Self.answer.utf8.count) == Self.answer)
            }
        }
    }

    @Test("an upgrade crosses nodes raw, a half close in each direction too")
    func upgrade() throws {
        try NodeStage.run { stage in
            let other = try TestSocket.listening()
            stage.add("other", at: other.port)
            for path in ["/x", "/_piko/v1/tcp/my"] {
                let client = try stage.connect()
                try client.send(
                    "GET \(path) HTTP/1.1\r\nHost: my.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nx-piko-half-close: 1\r\n\r\nfirst")
                let peer = try other.accept()
                let head = try peer.serve("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nx-piko-half-close: 1\r\n\r\nhi")
                #expect(head.hasPrefix("GET \(path) HTTP/1.1\r\n") && head.contains("Upgrade: websocket\r\n"))
                #expect(head.contains("x-piko-half-close: 1\r\n") && head.hasSuffix("x-piko-node: local\r\nConnection: Upgrade\r\n\r\n"))
                #expect(try client.read(until: "\r\n\r\nhi").contains("x-piko-half-close: 1\r\n"))
                #expect(try peer.read(5) == "first")
                client.shut()
                #expect(try peer.readToEnd() == "")
                try peer.send("last")
                peer.shut()
                #expect(try client.readToEnd() == "last")
            }
        }
    }

    @Test("a node that says where its tunnels are is asked for a session, once while it knows none, and nothing waits for that")
    func unknownSession() throws {
        try NodeStage.run { stage in
            let other = try TestSocket.listening()
            stage.add("other", at: other.port)
            let client = try stage.connect()
            try client.send(Self.get)
            let peer = try other.accept()
            try peer.serve("HTTP/1.1 200 OK\r\nx-piko-loops: 3\r\nContent-Length: 5\r\n\r\nhello")
            #expect(try client.read(Self.answer.utf8.count) == Self.answer)
            for round in 0..<3 {
                try client.send(Self.get)
                try peer.serve(Self.answer)
                #expect(try client.read(Self.answer.utf8.count) == Self.answer)
                guard round == 0 else { continue }
                let dial = try other.accept().serve("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                #expect(dial.hasPrefix("GET /_piko/v1/node HTTP/1.1\r\n") && dial.contains("\r\nx-piko-loop: 3\r\n"))
                #expect(dial.contains("\r\nUpgrade: websocket\r\n") && dial.contains("\r\nx-piko-forward: true\r\n"))
            }
            #expect(stage.requests == ["other": 4])
        }
    }

    @Test("a host name finds another node's endpoint that differs in case only")
    func caseFolding() throws {
        try NodeStage.run { stage in
            let other = try TestSocket.listening()
            stage.add("other", at: other.port, "My")
            let client = try stage.connect()
            try client.send("GET /x HTTP/1.1\r\nHost: mY.example\r\n\r\n")
            #expect(try other.accept().serve(Self.answer).contains("Host: mY.example\r\n"))
            #expect(try client.read(until: "hello").hasPrefix("HTTP/1.1 200 "))
        }
    }

    // MARK: Failures

    @Test("a refused dial goes to another node, whatever the method")
    func refusedDial() throws {
        try NodeStage.run { stage in
            let other = try TestSocket.listening()
            stage.add("dead", at: try TestSocket.deadPort(), listeners: 1 << 24)
            stage.add("other", at: other.port)
            for request in [Self.get, Self.post] {
                let client = try stage.connect()
                try client.send(request)
                let peer = try other.accept()
                try peer.serve("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
                #expect(try client.read(until: "hello").hasPrefix("HTTP/1.1 200 "))
            }
        }
    }

    @Test("three nodes that cannot be reached, and no more: 502")
    func deadNodes() throws {
        try NodeStage.run { stage in
            for id in ["a", "b", "c"] { stage.add(id, at: try TestSocket.deadPort(), listeners: 1 << 24) }
            let other = try TestSocket.listening()
            stage.add("other", at: other.port)
            let client = try stage.connect()
            try client.send(Self.get)
            #expect(try client.read(until: "}").hasSuffix("{\"error\":\"upstream unreachable\"}"))
        }
    }

    @Test("a node that says it refused is as good as not asked: POST goes elsewhere; the mark reaches no client")
    func declined() throws {
        try NodeStage.run { stage in
            let first = try TestSocket.listening()
            let second = try TestSocket.listening()
            stage.add("first", at: first.port, listeners: 1 << 24)
            stage.add("second", at: second.port)
            var client = try stage.connect()
            try client.send(Self.post)
            let peer = try first.accept()
            _ = try peer.read(until: "hello")
            try peer.send(Self.refusal)
            let next = try second.accept()
            #expect(try next.read(until: "hello").hasPrefix("POST /x "))
            try next.send(Self.answer)
            #expect(try client.read(Self.answer.utf8.count) == Self.answer)

            stage.set("second", .unreachable)
            client = try stage.connect()
            try client.send(Self.get)
            try peer.serve(Self.refusal)
            let told = try client.read(until: "}")
            #expect(told.hasPrefix("HTTP/1.1 502 ") && !told.contains("refused"))
            #expect(told.hasSuffix("{\"error\":\"no available upstreams\"}"))
        }
    }

    @Test("an error of another node without the mark is an answer like any other")
    func plainError() throws {
        try NodeStage.run { stage in
            let other = try TestSocket.listening()
            stage.add("other", at: other.port)
            let client = try stage.connect()
            try client.send(Self.get)
            try other.accept().serve("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\nhuh?")
            #expect(try client.read(until: "huh?").hasPrefix("HTTP/1.1 502 Bad Gateway\r\n"))
        }
    }

    @Test("a kept connection that is dead: GET goes to the same node anew, POST is not sent twice")
    func stale() throws {
        try NodeStage.run { stage in
            let other = try TestSocket.listening()
            stage.add("other", at: other.port)
            let client = try stage.connect()
            try client.send(Self.get)
            let first = try other.accept()
            try first.serve(Self.answer)
            _ = try client.read(Self.answer.utf8.count)
            try client.send(Self.get)
            _ = try first.read(until: "\r\n\r\n")
            first.shut()
            let second = try other.accept()
            try second.serve(Self.answer)
            #expect(try client.read(Self.answer.utf8.count) == Self.answer)
            try client.send(Self.post)
            _ = try second.read(until: "hello")
            second.shut()
            #expect(try client.read(until: "}").hasPrefix("HTTP/1.1 502 "))
        }
    }

    @Test("a node that becomes unreachable: what waits for it is given up at once, GET goes elsewhere, POST is a 502")
    func unreachable() throws {
        try NodeStage.run { stage in
            let frozen = try TestSocket.listening()
            let other = try TestSocket.listening()
            stage.add("frozen", at: frozen.port, listeners: 1 << 24)
            stage.add("other", at: other.port)
            let getter = try stage.connect()
            try getter.send(Self.get)
            let asked = try frozen.accept()
            _ = try asked.read(until: "\r\n\r\n")
            let poster = try stage.connect()
            try poster.send(Self.post)
            _ = try frozen.accept().read(until: "hello")
            stage.set("frozen", .unreachable)
            try other.accept().serve(Self.answer)
            #expect(try getter.read(Self.answer.utf8.count) == Self.answer)
            #expect(try poster.read(until: "}").hasPrefix("HTTP/1.1 502 "))
            #expect(asked.endsByReset())
        }
    }

    @Test("a node that becomes unreachable: a POST in a session with it may still arrive there, so it is a 502 and not sent again")
    func unreachableSession() throws {
        try NodeStage.run { stage in
            let frozen = try TestSocket.listening()
            let other = try TestSocket.listening()
            stage.add("frozen", at: frozen.port, listeners: 1 << 24)
            stage.add("other", at: other.port)
            let client = try stage.connect()
            try client.send(Self.get)
            let peer = try frozen.accept()
            try peer.serve("HTTP/1.1 200 OK\r\nx-piko-loops: 0\r\nContent-Length: 5\r\n\r\nhello")
            #expect(try client.read(Self.answer.utf8.count) == Self.answer)
            try client.send(Self.get)
            try peer.serve(Self.answer)
            #expect(try client.read(Self.answer.utf8.count) == Self.answer)
            let session = try frozen.accept()
            try session.beginSession(node: "frozen")
            try client.send(Self.post)
            _ = try session.read(2 + 4 + 12 + Self.post.utf8.count)
            stage.set("frozen", .unreachable)
            #expect(try client.read(until: "}").hasPrefix("HTTP/1.1 502 "))
        }
    }

    @Test("a node that has left finishes what it has; connections that wait are closed")
    func left() throws {
        try NodeStage.run { stage in
            let other = try TestSocket.listening()
            stage.add("other", at: other.port)
            let running = try stage.connect()
            try running.send(Self.get)
            let busy = try other.accept()
            _ = try busy.read(until: "\r\n\r\n")
            let done = try stage.connect()
            try done.send(Self.get)
            let idle = try other.accept()
            try idle.serve(Self.answer)
            _ = try done.read(Self.answer.utf8.count)
            stage.set("other", .left)
            #expect(try idle.readToEnd() == "")
            try busy.send(Self.answer)
            #expect(try running.read(Self.answer.utf8.count) == Self.answer)
            #expect(try busy.readToEnd() == "")
            try done.send(Self.get)
            #expect(try done.read(until: "}").hasSuffix("{\"error\":\"no available upstreams\"}"))
        }
    }

    // MARK: What members may say

    @Test("x-piko-forward: a member's request stays on this node, and the refusal is marked; a stranger's goes on")
    func forwardedByMember() throws {
        try NodeStage.run { stage in
            let other = try TestSocket.listening()
            stage.add("other", at: other.port)
            let member = try stage.connect()
            try member.send(Self.forwarded)
            let told = try member.read(until: "}")
            #expect(told.hasPrefix("HTTP/1.1 502 ") && told.contains("\r\nx-piko-refused: 1\r\n"))
            let stranger = try stage.connect(from: "127.0.0.2")
            try stranger.send(Self.forwarded)
            let head = try other.accept().serve(Self.answer)
            #expect(head.contains("X-Forwarded-For: 127.0.0.2\r\n"))
            #expect(head.ranges(of: "x-piko-forward").count == 1)
            #expect(try stranger.read(Self.answer.utf8.count) == Self.answer)
        }
    }

    @Test("nodes that do not know each other's addresses send no request in circles")
    func trail() throws {
        try NodeStage.run { stage in
            let other = try TestSocket.listening()
            stage.add("other", at: other.port)
            let client = try stage.connect(from: "127.0.0.2")
            try client.send("GET /x HTTP/1.1\r\nHost: my.example\r\nx-piko-forward: true\r\nx-piko-node: far\r\n\r\n")
            let head = try other.accept().serve(Self.answer)
            #expect(head.hasSuffix("\r\nx-piko-node: far, local\r\n\r\n") && head.ranges(of: "x-piko-node").count == 1)
            _ = try client.read(Self.answer.utf8.count)
            try client.send("GET /x HTTP/1.1\r\nHost: my.example\r\nx-piko-forward: true\r\nx-piko-node: local, far\r\n\r\n")
            #expect(try client.read(until: "}").hasSuffix("{\"error\":\"no available upstreams\"}"))
        }
    }

    @Test("x-piko-forward: a connection is judged again when the cluster has changed")
    func membershipChanges() throws {
        try NodeStage.run { stage in
            let client = try stage.connect(from: "127.0.0.2")
            try client.send(Self.forwarded)
            #expect(!(try client.read(until: "}").contains("refused")))
            for change in [ClusterChange.added(id: "late"), .proxyAddress(id: "late", "127.0.0.2:80"), .adminAddress(id: "late", "127.0.0.2:81")] {
                stage.node.cluster.apply(change)
            }
            try client.send(Self.forwarded)
            #expect(try client.read(until: "}").contains("x-piko-refused: 1"))
            stage.node.cluster.apply(.removed(id: "late"))
            try client.send(Self.forwarded)
            #expect(!(try client.read(until: "}").contains("refused")))
        }
    }

    @Test("x-piko-forward: a TCP client that a member sent stays here too, and its refusal is marked")
    func forwardedTunnel() throws {
        try NodeStage.run { stage in
            stage.add("other", at: try TestSocket.deadPort())
            let member = try stage.connect()
            try member.send(
                "GET /_piko/v1/tcp/my HTTP/1.1\r\nHost: any\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nx-piko-forward: true\r\n"
                    + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            let told = try member.read(until: "}")
            #expect(told.hasPrefix("HTTP/1.1 502 ") && told.contains("\r\nx-piko-refused: 1\r\n"))
        }
    }

    @Test("draining: a member's waiting connection stays open, counts for nothing, and is told to close with its next answer")
    func drain() throws {
        try NodeStage.run { stage in
            stage.add("other", at: try TestSocket.deadPort())
            let member = try stage.connect()
            let stranger = try stage.connect(from: "127.0.0.2")
            for client in [member, stranger] {
                try client.send("GET /x HTTP/1.1\r\nHost: none.example\r\nx-piko-forward: true\r\n\r\n")
                _ = try client.read(until: "}")
            }
            #expect(stage.busyCount == 2)
            stage.drain()
            #expect(try stranger.readToEnd() == "")
            #expect(stage.busyCount <= 1)
            try member.send(Self.forwarded)
            #expect(try member.readToEnd().contains("Connection: close\r\n"))
        }
    }
}
