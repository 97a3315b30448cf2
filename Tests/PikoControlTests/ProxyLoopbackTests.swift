// SPDX-License-Identifier: MIT
// The HTTP proxy between real sockets on loopback: a client and a service played by the test, no tunnel in between. The decisions have their
// own tests without sockets (ProxyExchangeTests); here is what the shell makes of them.

import PikoCore
import PikoEngine
import Testing

@testable import PikoControl

@Suite(.serialized) struct ProxyLoopbackTests {
    static let head = "GET /x HTTP/1.1\r\nHost: my.example\r\n\r\n"
    static let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

    @Test("keep-alive: two requests on one connection of the client and one of the service")
    func keepAlive() throws {
        try Stage.run { stage in
            let client = try stage.connect()
            try client.send(Self.head)
            let service = try stage.service.accept()
            for _ in 0..<2 {
                let head = try service.read(until: "\r\n\r\n")
                #expect(head.hasPrefix("GET /x HTTP/1.1\r\nHost: my.example\r\n"))
                #expect(head.contains("X-Forwarded-For: 127.0.0.1\r\n"))
                try service.send(Self.answer)
                #expect(try client.read(Self.answer.utf8.count) == Self.answer)
                try client.send(Self.head)
            }
        }
    }

    @Test("pipelining: answers come in order, the second request waits kept")
    func pipelining() throws {
        try Stage.run { stage in
            let client = try stage.connect()
            try client.send(Self.head + "GET /y HTTP/1.1\r\nHost: other.example\r\n\r\n")
            let service = try stage.service.accept()
            #expect(try service.read(until: "\r\n\r\n").hasPrefix("GET /x"))
            try service.send(Self.answer)
            #expect(try service.read(until: "\r\n\r\n").hasPrefix("GET /y"))
            try service.send(Self.answer)
            #expect(try client.read(2 * Self.answer.utf8.count) == Self.answer + Self.answer)
        }
    }

    @Test("pipelining before a half close: an answer of our own in the middle does not cut what follows")
    func pipeliningBeforeEnd() throws {
        for middle in ["GET /_piko/x HTTP/1.1\r\nHost: my.example\r\n\r\n", "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
            for cut in ["", "GET /z HT"] {
                try Stage.run { stage in
                    let client = try stage.connect()
                    try client.send(Self.head + middle + "GET /y HTTP/1.1\r\nHost: my.example\r\n\r\n" + cut)
                    client.shut()
                    let service = try stage.service.accept()
                    #expect(try service.read(until: "\r\n\r\n").hasPrefix("GET /x"))
                    try service.send(Self.answer)
                    #expect(try service.read(until: "\r\n\r\n").hasPrefix("GET /y"))
                    try service.send(Self.answer)
                    let all = try client.readToEnd()
                    #expect(all.hasPrefix(Self.answer + "HTTP/1.1 40") && all.hasSuffix("}" + Self.answer))
                }
            }
        }
    }

    @Test("chunks and trailers go byte for byte in both directions")
    func chunked() throws {
        let body = "5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n"
        try Stage.run { stage in
            let client = try stage.connect()
            try client.send("POST /x HTTP/1.1\r\nHost: my.example\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
            let service = try stage.service.accept()
            _ = try service.read(until: "\r\n\r\n")
            #expect(try service.read(body.utf8.count) == body)
            try service.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
            _ = try client.read(until: "\r\n\r\n")
            #expect(try client.read(body.utf8.count) == body)
            try client.send(Self.head)
            _ = try service.read(until: "\r\n\r\n")
        }
    }

    @Test("a body in two pieces: held, passed on at once")
    func heldBody() throws {
        try Stage.run { stage in
            let client = try stage.connect()
            try client.send("POST /x HTTP/1.1\r\nHost: my.example\r\nContent-Length: 10\r\n\r\nhello")
            let service = try stage.service.accept()
            _ = try service.read(until: "\r\n\r\nhello")
            try client.send("world" + Self.head)
            #expect(try service.read(5) == "world")
            try service.send(Self.answer)
            #expect(try client.read(Self.answer.utf8.count) == Self.answer)
            #expect(try service.read(until: "\r\n\r\n").hasPrefix("GET"))
        }
    }

    @Test("a large body with length, and one until close, arrive whole")
    func large() throws {
        let body = String(repeating: "0123456789abcdef", count: 65536)
        try Stage.run { stage in
            for head in ["Content-Length: \(body.utf8.count)\r\n", ""] {
                let client = try stage.connect()
                try client.send("PUT /x HTTP/1.1\r\nHost: my.example\r\nContent-Length: \(body.utf8.count)\r\n\r\n")
                let service = try stage.acceptFresh()
                _ = try service.read(until: "\r\n\r\n")
                try client.send(body)
                #expect(try service.read(body.utf8.count) == body)
                try service.send("HTTP/1.1 200 OK\r\n\(head)\r\n" + body)
                if head.isEmpty { service.shut() }
                let answered = try client.read(until: "\r\n\r\n")
                #expect(answered.contains("close") == head.isEmpty)
                if head.isEmpty { #expect(try client.readToEnd() == body) } else { #expect(try client.read(body.utf8.count) == body) }
            }
        }
    }

    @Test("early response: it arrives while the body still goes up, and the upload may go on")
    func earlyResponse() throws {
        try Stage.run { stage in
            let client = try stage.connect()
            try client.send("POST /x HTTP/1.1\r\nHost: my.example\r\nContent-Length: 100000\r\n\r\nbegin")
            let service = try stage.service.accept()
            _ = try service.read(until: "\r\n\r\nbegin")
            try service.send(Self.answer)
            #expect(try client.read(Self.answer.utf8.count) == Self.answer)
            try client.send(String(repeating: "x", count: 99995) + Self.head)
            _ = try service.read(99995)
            #expect(try service.read(until: "\r\n\r\n").hasPrefix("GET"))
        }
    }

    @Test("early response: a service that refuses the body and resets; the client still reads why")
    func earlyRefusal() throws {
        try Stage.run { stage in
            let client = try stage.connect()
            try client.send("POST /x HTTP/1.1\r\nHost: my.example\r\nContent-Length: 10000000\r\n\r\n")
            let service = try stage.service.accept()
            _ = try service.read(until: "\r\n\r\n")
            try client.send(String(repeating: "x", count: 10000))
            try service.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
            #expect(try client.readToEnd().hasPrefix("HTTP/1.1 413 Too Large\r\n"))
        }
    }

    @Test("a client that leaves ends the service's connection")
    func clientLeaves() throws {
        try Stage.run { stage in
            var client: TestSocket? = try stage.connect()
            try client?.send(Self.head)
            let service = try stage.service.accept()
            _ = try service.read(until: "\r\n\r\n")
            client = nil
            #expect(service.endsByReset())
        }
    }

    @Test("a response cut short resets the client's connection")
    func truncated() throws {
        try Stage.run { stage in
            for head in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
                let client = try stage.connect()
                try client.send(Self.head)
                let service = try stage.service.accept()
                _ = try service.read(until: "\r\n\r\n")
                try service.send("HTTP/1.1 200 OK\r\n\(head)\r\n\r\n5\r\nab")
                _ = try client.read(until: "ab")
                service.shut()
                #expect(client.endsByReset())
            }
        }
    }

    @Test("a broken chunk size: 400, and the service's connection is reset")
    func badChunk() throws {
        try Stage.run { stage in
            let client = try stage.connect()
            try client.send("POST /x HTTP/1.1\r\nHost: my.example\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
            let service = try stage.service.accept()
            _ = try service.read(until: "ab\r\n")
            try client.send("+1\r\n")
            #expect(try client.readToEnd().hasPrefix("HTTP/1.1 400 "))
            #expect(service.endsByReset())
        }
    }

    @Test("a body that breaks is counted by whose it was and how, whatever the status was")
    func brokenBodies() throws {
        let kinds: [ProxyFault] = [.requestMalformed, .requestTruncated, .responseMalformed, .responseTruncated]
        try Stage.run { stage in
            func exchange(_ request: String, _ answer: String) throws -> (TestSocket, TestSocket) {
                let client = try stage.connect()
                try client.send(request)
                let service = try stage.service.accept()
                _ = try service.read(until: "\r\n\r\n")
                try service.send("HTTP/1.1 200 OK\r\n\(answer)")
                _ = try client.read(until: "\r\n\r\n")
                return (client, service)
            }
            let upload = "POST /x HTTP/1.1\r\nHost: my.example\r\nTransfer-Encoding: chunked\r\n\r\n"
            let steps: [(ProxyFault, String, String, (TestSocket, TestSocket) throws -> Void)] = [
                (.requestMalformed, upload, "Content-Length: 9\r\n\r\n", { client, _ in try client.send("+1\r\n") }),
                (.requestTruncated, upload, "Content-Length: 9\r\n\r\n", { client, _ in client.shut() }),
                (.responseMalformed, Self.head, "Transfer-Encoding: chunked\r\n\r\n", { _, service in try service.send("+1\r\n") }),
                (.responseTruncated, Self.head, "Content-Length: 9\r\n\r\n", { _, service in service.shut() }),
            ]
            for (fault, request, answer, breakIt) in steps {
                let before = kinds.map(stage.faults)
                let (client, service) = try exchange(request, answer)
                try breakIt(client, service)
                #expect(client.endsByReset())
                #expect(kinds.map(stage.faults) == zip(kinds, before).map { $0 == fault ? $1 + 1 : $1 }, "\(fault)")
            }
            #expect(stage.requests["200 POST"] == 2 && stage.requests["200 GET"] == 2)
        }
    }

    @Test("a client that leaves while it is answered breaks no body")
    func leavesAnswered() throws {
        try Stage.run { stage in
            var client: TestSocket? = try stage.connect()
            try client?.send(Self.head)
            let service = try stage.service.accept()
            _ = try service.read(until: "\r\n\r\n")
            try service.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
            _ = try client?.read(until: "abc")
            client = nil
            #expect(service.endsByReset())
            #expect(ProxyFault.allCases.allSatisfy { stage.faults($0) == 0 })
        }
    }

    @Test("a client that says nothing in time is counted; one that has asked something is not")
    func silence() throws {
        try Stage.run(headTimeout: 1000) { stage in
            let silent = try stage.connect()
            #expect(try silent.readToEnd() == "")
            #expect(stage.faults(.silent) == 1)
            let late = try stage.connect()
            try late.send("GET ")
            #expect(try late.readToEnd().hasPrefix("HTTP/1.1 408 "))
            #expect(stage.faults(.silent) == 1 && stage.requests["408 OTHER"] == 1)
        }
    }

    @Test("HTTP/1.0: chunks are taken off, interim heads too, and the connection ends")
    func oldClient() throws {
        try Stage.run { stage in
            let client = try stage.connect()
            try client.send("GET /x HTTP/1.0\r\nHost: my.example\r\n\r\n")
            let service = try stage.service.accept()
            _ = try service.read(until: "\r\n\r\n")
            try service.send("HTTP/1.1 103 Early Hints\r\n\r\n")
            try service.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            let all = try client.readToEnd()
            #expect(all.hasPrefix("HTTP/1.1 200 OK\r\n") && all.hasSuffix("\r\n\r\nhello"))
            #expect(!all.contains("chunked"))
        }
    }

    @Test("100-continue passes through, and then the body")
    func expectContinue() throws {
        try Stage.run { stage in
            let client = try stage.connect()
            try client.send("POST /x HTTP/1.1\r\nHost: my.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            let service = try stage.service.accept()
            #expect(try service.read(until: "\r\n\r\n").contains("Expect: 100-continue\r\n"))
            try service.send("HTTP/1.1 100 Continue\r\n\r\n")
            #expect(try client.read(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
            try client.send("hello")
            #expect(try service.read(5) == "hello")
            try service.send(Self.answer)
            #expect(try client.read(Self.answer.utf8.count) == Self.answer)
        }
    }

    @Test("upgrade: raw bytes both ways, and a half close in each direction")
    func upgrade() throws {
        try Stage.run { stage in
            let client = try stage.connect()
            try client.send("GET /x HTTP/1.1\r\nHost: my.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst")
            let service = try stage.service.accept()
            #expect(try service.read(until: "\r\n\r\n").contains("Upgrade: echo\r\n"))
            try service.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhi")
            _ = try client.read(until: "\r\n\r\nhi")
            #expect(try service.read(5) == "first")
            client.shut()
            #expect(try service.readToEnd() == "")
            try service.send("last")
            service.shut()
            #expect(try client.readToEnd() == "last")
        }
    }

    @Test("a pooled connection that its service has closed is replaced without the client noticing")
    func stale() throws {
        try Stage.run { stage in
            let client = try stage.connect()
            try client.send(Self.head)
            var service: TestSocket? = try stage.service.accept()
            _ = try service?.read(until: "\r\n\r\n")
            try service?.send(Self.answer)
            _ = try client.read(Self.answer.utf8.count)
            service = nil
            try client.send(Self.head)
            service = try stage.service.accept()
            _ = try service?.read(until: "\r\n\r\n")
            try service?.send(Self.answer)
            #expect(try client.read(Self.answer.utf8.count) == Self.answer)
        }
    }

    @Test("a response before any request on it ends a pooled connection")
    func unsolicited() throws {
        try Stage.run { stage in
            let client = try stage.connect()
            try client.send(Self.head)
            let service = try stage.service.accept()
            _ = try service.read(until: "\r\n\r\n")
            try service.send(Self.answer + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            _ = try client.read(Self.answer.utf8.count)
            try client.send(Self.head)
            let second = try stage.service.accept()
            _ = try second.read(until: "\r\n\r\n")
            try second.send(Self.answer)
            #expect(try client.read(Self.answer.utf8.count) == Self.answer)
        }
    }

    @Test("what is no response is a 502, and the client may go on")
    func badResponse() throws {
        try Stage.run { stage in
            for bad in ["nonsense\r\n\r\n", "HTTP/1.1 200 OK\nA: b\n\n", "HTTP/1.1 101 No\r\n\r\n"] {
                let client = try stage.connect()
                try client.send(Self.head)
                let service = try stage.service.accept()
                _ = try service.read(until: "\r\n\r\n")
                try service.send(bad)
                let head = try client.read(until: "\r\n\r\n")
                #expect(head.hasPrefix("HTTP/1.1 502 ") && !head.contains("close"))
                #expect(try client.read(until: "}") == "{\"error\":\"upstream unreachable\"}")
            }
        }
    }

    @Test("heads over the limit: 431 for the client's, 502 for the service's")
    func tooLarge() throws {
        let long = "A: \(String(repeating: "a", count: 200_000))\r\n"
        try Stage.run { stage in
            var client = try stage.connect()
            try client.send("GET /x HTTP/1.1\r\nHost: my.example\r\n" + long)
            #expect(try client.readToEnd().hasPrefix("HTTP/1.1 431 "))
            client = try stage.connect()
            try client.send(Self.head)
            let service = try stage.service.accept()
            _ = try service.read(until: "\r\n\r\n")
            try service.send("HTTP/1.1 200 OK\r\n" + long)
            #expect(try client.read(until: "\r\n").hasPrefix("HTTP/1.1 502 "))
        }
    }

    @Test("a head that is refused is counted, by its method where that is certain")
    func refusedIsCounted() throws {
        let heads = [
            "PUT /x HTTP/1.1\r\nHost: a.b\r\nHost: a.b\r\n\r\n", "BREW /x HTTP/1.1\r\nA : b\r\n\r\n", "GET /x HTTP/9.9\r\nHost: a.b\r\n\r\n",
            "nonsense\r\n\r\n", "GET /x HTTP/1.1\r\nHost: my.example\r\nA: \(String(repeating: "a", count: 200_000))\r\n",
        ]
        try Stage.run { stage in
            for head in heads {
                let client = try stage.connect()
                try client.send(head)
                #expect(try client.readToEnd().hasPrefix("HTTP/1.1 "))
            }
            #expect(stage.requests == ["400 PUT": 1, "400 OTHER": 2, "505 OTHER": 1, "431 GET": 1])
        }
    }

    @Test("a long head within the limit is served, in pieces too")
    func longHead() throws {
        let long = "A: \(String(repeating: "a", count: 90_000))\r\n"
        try Stage.run { stage in
            let client = try stage.connect()
            try client.send("GET /x HTTP/1.1\r\nHost: my.example\r\n" + long)
            try client.send("\r\n")
            let service = try stage.service.accept()
            #expect(try service.read(until: "\r\n\r\n").contains(long))
            try service.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + long)
            try service.send("\r\n")
            #expect(try client.read(until: "\r\n\r\n").contains(long))
        }
    }

    @Test("504 after the timeout; the head of a service that is too late goes nowhere")
    func timeout() throws {
        try Stage.run(timeout: 100) { stage in
            let client = try stage.connect()
            try client.send(Self.head)
            let service = try stage.service.accept()
            _ = try service.read(until: "\r\n\r\n")
            #expect(try client.read(until: "\r\n").hasPrefix("HTTP/1.1 504 "))
            #expect(try client.read(until: "}").hasSuffix("{\"error\":\"upstream timeout\"}"))
            #expect(service.endsByReset())
        }
    }

    @Test("requests that go nowhere: no endpoint, CONNECT, the reserved prefix, no service")
    func nowhere() throws {
        try Stage.run { stage in
            let client = try stage.connect()
            for (request, status) in [
                ("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400), ("GET /_piko/x HTTP/1.1\r\nHost: my.example\r\n\r\n", 404),
                ("GET /_pikos HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
            ] {
                try client.send(request)
                #expect(try client.read(until: "\r\n").hasPrefix("HTTP/1.1 \(status) "))
                _ = try client.read(until: "}")
            }
            try client.send("CONNECT my.example:80 HTTP/1.1\r\nHost: my.example:80\r\n\r\n")
            #expect(try client.read(until: "\r\n").hasPrefix("HTTP/1.1 501 "))
        }
        try Stage.run(servicePort: 1) { stage in
            let client = try stage.connect()
            try client.send(Self.head)
            #expect(try client.read(until: "}").hasPrefix("HTTP/1.1 502 "))
        }
    }

    @Test("moving: a connection follows its requests to another loop and back, its answers in order")
    func moving() throws {
        try Stage.run(loops: 2) { stage in
            let client = try stage.connect()
            for round in 0..<6 {
                let body = round % 2 == 0 ? "hello" : ""
                let request = "PUT /\(round) HTTP/1.1\r\nHost: my.example\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
                try client.send(request + request)
                for _ in 0..<2 {
                    let service = try stage.acceptFresh()
                    #expect(try service.read(until: "\r\n\r\n").hasPrefix("PUT /\(round) "))
                    #expect(try service.read(body.utf8.count) == body)
                    try service.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
                    #expect(try client.read(Self.answer.utf8.count) == Self.answer)
                }
            }
            #expect(stage.moves > 4)
        }
    }

    @Test("draining: what runs is finished and told to close, what is idle ends")
    func drain() throws {
        try Stage.run { stage in
            let idle = try stage.connect()
            try idle.send(Self.head)
            let service = try stage.service.accept()
            _ = try service.read(until: "\r\n\r\n")
            try service.send(Self.answer)
            _ = try idle.read(Self.answer.utf8.count)
            let busy = try stage.connect()
            try busy.send(Self.head)
            _ = try service.read(until: "\r\n\r\n")
            stage.drain()
            #expect(try idle.readToEnd() == "")
            try service.send(Self.answer)
            #expect(try busy.readToEnd().hasSuffix("hello"))
        }
    }

    @Test("draining: a request that was on its way on an idle connection is answered and told to close")
    func lateRequest() throws {
        try Stage.run { stage in
            let idle = try stage.connect()
            try idle.send(Self.head)
            let service = try stage.service.accept()
            _ = try service.read(until: "\r\n\r\n")
            try service.send(Self.answer)
            _ = try idle.read(Self.answer.utf8.count)
            stage.drain()
            try idle.send(Self.head)
            _ = try service.read(until: "\r\n\r\n")
            try service.send(Self.answer)
            let answer = try idle.readToEnd().lowercased()
            #expect(answer.contains("connection: close") && answer.hasSuffix("hello"))
        }
    }

    @Test("draining: a new client is served and told to close")
    func lateClient() throws {
        try Stage.run { stage in
            stage.drain()
            let client = try stage.connect()
            try client.send(Self.head)
            let service = try stage.service.accept()
            _ = try service.read(until: "\r\n\r\n")
            try service.send(Self.answer)
            #expect(try client.readToEnd().lowercased().contains("connection: close"))
        }
    }
}
