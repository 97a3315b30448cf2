// SPDX-License-Identifier: MIT
// What long heads take of a budget: it is taken while they are gathered, held or unread, given back whatever their end, and beyond it they are refused,
// not the others. Real sockets on loopback; the whole process under many of them is tested in Integration/test_long_heads.py.

import Glibc
import PikoCore
import PikoEngine
import Testing

@testable import PikoControl

@Suite(.serialized) struct HeadMemoryTests {
    private static let total = 4 << 20
    private static let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

    /// A request with a head of about so many bytes.
    private static func head(_ bytes: Int, _ more: String = "") -> String {
        "GET /x HTTP/1.1\r\nHost: my.example\r\n\(more)X-Long: \(String(repeating: "l", count: bytes))\r\n\r\n"
    }

    /// A request with a field of about so many bytes that goes no further than here.
    private static func headForUs(_ bytes: Int) -> String {
        "GET /x HTTP/1.1\r\nHost: my.example\r\nConnection: x-long\r\nX-Long: \(String(repeating: "l", count: bytes))\r\n\r\n"
    }

    /// Whether it becomes true within five seconds.
    private static func eventually(_ condition: () -> Bool) -> Bool {
        for _ in 0..<5000 {
            if condition() { return true }
            usleep(1000)
        }
        return false
    }

    /// Runs it with a budget, all of which has to be there in the end.
    private static func run(
        loops: Int = 1, timeout: UInt64 = 5000, headTimeout: UInt64 = 10_000, total: Int = total, _ body: (Stage, ByteBudget) throws -> Void
    ) throws {
        let heads = ByteBudget(bytes: total)
        try Stage.run(loops: loops, timeout: timeout, headTimeout: headTimeout, heads: heads) { try body($0, heads) }
        #expect(heads.rest == total)
    }

    @Test("budget: a lease takes what there is, no more, and gives all of it back")
    func leases() {
        let budget = ByteBudget(bytes: 100)
        var lease = budget.lease(60)
        #expect(budget.lease(41) == nil && lease?.take(40) == true && lease?.take(1) == false)
        #expect(lease?.count == 100 && budget.rest == 0)
        lease = nil
        #expect(budget.rest == 100)
    }

    @Test("budget: a head of ordinary size, and what is held of a body, take nothing of it")
    func ordinary() throws {
        try Self.run { stage, heads in
            let client = try stage.connect()
            let body = String(repeating: "b", count: 65_536)
            try client.send("POST /x HTTP/1.1\r\nHost: my.example\r\nX-Long: \(String(repeating: "l", count: 30_000))\r\nContent-Length: 65536\r\n\r\n" + body)
            let service = try stage.service.accept()
            _ = try service.read(until: "\r\n\r\n")
            _ = try service.read(body.utf8.count)
            #expect(heads.rest == Self.total)
            try service.send(Self.answer)
            _ = try client.read(until: "hello")
        }
    }

    @Test("gathered: a long head takes its memory until its client leaves, or is too late")
    func gathered() throws {
        try Self.run(headTimeout: 1000) { stage, heads in
            var client: TestSocket? = try stage.connect()
            try client?.send(String(Self.head(90_000).dropLast(2)))
            #expect(Self.eventually { heads.rest <= Self.total - 90_000 })
            client = nil
            #expect(Self.eventually { heads.rest == Self.total })
            let late = try stage.connect()
            try late.send(String(Self.head(90_000).dropLast(2)))
            #expect(try late.readToEnd().hasPrefix("HTTP/1.1 408 "))
            #expect(Self.eventually { heads.rest == Self.total })
        }
    }

    @Test("gathered: a head that turns out too long or malformed gives back what it took")
    func refused() throws {
        try Self.run { stage, heads in
            for (rest, status) in [(String(repeating: "l", count: 20_000), 431), ("\r\nno field\r\n\r\n", 400)] {
                let client = try stage.connect()
                try client.send(String(Self.head(90_000).dropLast(4)))
                #expect(Self.eventually { heads.rest <= Self.total - 90_000 })
                try client.send(rest)
                #expect(try client.read(until: "\r\n").hasPrefix("HTTP/1.1 \(status) "))
                #expect(Self.eventually { heads.rest == Self.total })
            }
        }
    }

    @Test("held: a long head of which little goes on gives back all that it took, on whichever loop", arguments: [1, 2])
    func dropped(loops: Int) throws {
        try Self.run(loops: loops) { stage, heads in
            let client = try stage.connect()
            for _ in 0..<3 {
                try client.send(Self.headForUs(90_000))
                let service = try stage.acceptFresh()
                _ = try service.read(until: "\r\n\r\n")
                try service.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
                _ = try client.read(until: "hello")
                #expect(heads.rest == Self.total)
            }
            #expect(loops == 1 || stage.moves > 0)
        }
    }

    @Test("held: a long head takes its memory and its copy until the answer begins, on whichever loop", arguments: [1, 2])
    func held(loops: Int) throws {
        try Self.run(loops: loops) { stage, heads in
            let client = try stage.connect()
            for _ in 0..<3 {
                try client.send(Self.head(90_000))
                let service = try stage.acceptFresh()
                _ = try service.read(until: "\r\n\r\n")
                #expect(heads.rest <= Self.total - 2 * 90_000)
                try service.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")
                _ = try client.read(until: "\r\n\r\n")
                #expect(heads.rest == Self.total)
                try service.send("hello")
                _ = try client.read(5)
            }
            #expect(loops == 1 || stage.moves > 0)
        }
    }

    @Test("held: a client that leaves, a service that breaks off, and a time that passes give back what was taken", arguments: ["client", "service", "time"])
    func broken(by what: String) throws {
        try Self.run(timeout: what == "time" ? 300 : 5000) { stage, heads in
            var client: TestSocket? = try stage.connect()
            try client?.send(Self.head(90_000))
            var service: TestSocket? = try stage.service.accept()
            _ = try service?.read(until: "\r\n\r\n")
            switch what {
            case "client": client = nil
            case "service": service = nil
            default: #expect(try client?.read(until: "\r\n").hasPrefix("HTTP/1.1 504 ") == true)
            }
            #expect(Self.eventually { heads.rest == Self.total })
        }
    }

    @Test("held: an upload behind a long head, and an upgrade, take nothing once they flow")
    func flowing() throws {
        try Self.run { stage, heads in
            for (fields, answer) in [
                ("Transfer-Encoding: chunked\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
                ("Connection: Upgrade\r\nUpgrade: x\r\n", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
            ] {
                let client = try stage.connect()
                try client.send(Self.head(90_000, fields))
                let service = try stage.acceptFresh()
                _ = try service.read(until: "\r\n\r\n")
                try service.send(answer)
                _ = try client.read(until: "\r\n\r\n")
                #expect(heads.rest == Self.total)
            }
        }
    }

    @Test("response: a long head takes memory while it is gathered, and none once the client has it")
    func response() throws {
        try Self.run { stage, heads in
            let client = try stage.connect()
            try client.send("GET /x HTTP/1.1\r\nHost: my.example\r\n\r\n")
            let service = try stage.service.accept()
            _ = try service.read(until: "\r\n\r\n")
            try service.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Long: " + String(repeating: "l", count: 90_000))
            #expect(Self.eventually { heads.rest <= Self.total - 90_000 })
            try service.send("\r\n\r\nhello")
            _ = try client.read(until: "\r\n\r\nhello")
            #expect(Self.eventually { heads.rest == Self.total })
        }
    }

    @Test("at the bound: a long head is a 503 and counted, gathered or whole; a small one is served, and a long one again when there is room")
    func bound() throws {
        let total = 185_000
        try Self.run(total: total) { stage, heads in
            var first: TestSocket? = try stage.connect()
            try first?.send(String(Self.head(90_000).dropLast(2)))
            #expect(Self.eventually { heads.rest <= total - 90_000 })
            for unfinished in [true, false] {
                let second = try stage.connect()
                try second.send(String(Self.head(98_000).dropLast(unfinished ? 2 : 0)))
                let refusal = try second.read(until: "}")
                #expect(refusal.hasPrefix("HTTP/1.1 503 ") && refusal.contains("retry-after: 1\r\n") && refusal.hasSuffix("{\"error\":\"overloaded\"}"))
            }
            #expect(stage.faults(.requestUnheld) == 2)
            let small = try stage.connect()
            try small.send("GET /x HTTP/1.1\r\nHost: my.example\r\n\r\n")
            let service = try stage.service.accept()
            _ = try service.read(until: "\r\n\r\n")
            try service.send(Self.answer)
            _ = try small.read(until: "hello")
            first = nil
            #expect(Self.eventually { heads.rest == total })
            try small.send(Self.head(40_000))
            _ = try service.read(until: "\r\n\r\n")
            try service.send(Self.answer)
            #expect(try small.read(until: "hello").hasPrefix("HTTP/1.1 200 "))
        }
    }

    @Test("at the bound: a long response head is a 502 and counted, and the next answer is passed on")
    func responseBound() throws {
        try Self.run(total: 80_000) { stage, heads in
            let client = try stage.connect()
            try client.send("GET /x HTTP/1.1\r\nHost: my.example\r\n\r\n")
            let service = try stage.service.accept()
            _ = try service.read(until: "\r\n\r\n")
            try service.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Long: " + String(repeating: "l", count: 90_000))
            #expect(try client.read(until: "}").hasPrefix("HTTP/1.1 502 "))
            #expect(stage.faults(.responseUnheld) == 1 && heads.rest == 80_000)
            try client.send("GET /x HTTP/1.1\r\nHost: my.example\r\n\r\n")
            let fresh = try stage.acceptFresh()
            _ = try fresh.read(until: "\r\n\r\n")
            try fresh.send(Self.answer)
            #expect(try client.read(until: "hello").hasPrefix("HTTP/1.1 200 "))
        }
    }
}
