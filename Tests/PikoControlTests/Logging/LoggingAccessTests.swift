// SPDX-License-Identifier: MIT
// The access log: what a line of a request shows, hides and bounds.
// Lines are read back by a JSON parser that is not ours; no descriptor is written to.

import PikoCore
import Testing
@testable import PikoControl

struct LoggingAccessTests {
    private let capture = LoggingCapture()

    private func log(_ configuration: AccessLogConfiguration = .init(), level: LogLevel = .info) -> AccessLog {
        var logging = LogConfiguration()
        logging.level = level
        return AccessLog(log: Log(sink: capture.sink(logging), subsystem: "proxy"), configuration: configuration)
    }

    /// A list of fields as one block of bytes, as a head is: all of them are valid until the visit is over.
    private func withFields(_ fields: [(String, String)], _ body: ((AccessLog.Visit) -> Void) -> Void) {
        let names = fields.map { Array($0.0.utf8) }
        let values = fields.map { Array($0.1.utf8) }
        var pointers: [(UnsafeRawBufferPointer, UnsafeRawBufferPointer)] = []
        for (name, value) in zip(names, values) { pointers.append((Self.copy(name), Self.copy(value))) }
        defer { for (name, value) in pointers { name.deallocate(); value.deallocate() } }
        body { each in for (name, value) in pointers { each(name, value) } }
    }

    private static func copy(_ bytes: [UInt8]) -> UnsafeRawBufferPointer {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 1)
        copy.copyBytes(from: bytes)
        return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(copy)[..<bytes.count])
    }

    private func begin(_ log: AccessLog, target: String = "/p?secret=1", _ fields: [(String, String)] = []) -> AccessLogEntry? {
        var entry: AccessLogEntry?
        withFields([("GET", "h:8000"), (target, "e1")]) { head in
            var parts: [UnsafeRawBufferPointer] = []
            head { parts += [$0, $1] }
            let request = AccessRequest(method: parts[0], target: parts[2], host: parts[1], endpoint: parts[3], minorVersion: 1)
            withFields(fields) { entry = log.begin(request, visitFields: $0) }
        }
        return entry
    }

    private func end(_ log: AccessLog, _ entry: AccessLogEntry?, status: Int = 200, error: StaticString? = nil) {
        guard let entry else { return }
        log.end(entry, AccessOutcome(status: status, nanoseconds: 1_500_000, requestBytes: 3, responseBytes: 5, error: error))
    }

    private func request() throws -> [String: Any] {
        try #require(try capture.objects().last?["request"] as? [String: Any])
    }

    @Test("access: one line a request, with the original's fields, and no query")
    func line() throws {
        let log = log()
        let entry = try #require(begin(log, [("user-agent", "curl"), ("Accept", "*/*")]))
        withFields([("CONTENT-TYPE", "text/plain")]) { log.respond(entry, visitFields: $0) }
        end(log, entry)
        #expect(capture.lines.count == 1)
        let text = try #require(capture.lines.first)
        #expect(text.hasPrefix(#"{"level":"info","ts":""#))
        #expect(text.hasSuffix(#"""
            "subsystem":"proxy.access","msg":"request","endpoint_id":"e1","request":{"proto":"HTTP/1.1","method":"GET",\#
            "host":"h:8000","path":"/p","request_headers":{"User-Agent":["curl"],"Accept":["*/*"]},\#
            "response_headers":{"Content-Type":["text/plain"]},"status":200,"duration":"1.5ms","request_size":3,"response_size":5}}

            """#))
    }

    @Test("access: a line cut short by the request's head still takes the response and its end", arguments: [3000, 3600, 3700, 8000])
    func cut(length: Int) throws {
        let log = log()
        let entry = try #require(begin(log, [("x-long", String(repeating: "v", count: length)), ("x", "y")]))
        withFields([("Via", String(repeating: "v", count: length))]) { log.respond(entry, visitFields: $0) }
        end(log, entry)
        #expect(try request()["status"] as? Int == 200)
    }

    @Test("access: values of one name are one list")
    func repeated() throws {
        let log = log()
        end(log, begin(log, [("Via", "a"), ("Accept", "x"), ("via", "b")]))
        #expect(try request()["request_headers"] as? [String: [String]] == ["Via": ["a", "b"], "Accept": ["x"]])
    }

    @Test("access: credentials are redacted unless the allow list names them")
    func credentials() throws {
        let secrets = ["Authorization", "Cookie", "Set-Cookie", "Proxy-Authorization", "X-Piko-Authorization"]
        let fields = secrets.map { ($0, "s3cret") } + [("Accept", "x")]
        let open = log()
        end(open, begin(open, fields))
        #expect(capture.lines.last?.contains("s3cret") == false)
        #expect((try request()["request_headers"] as? [String: [String]])?["Cookie"] == ["[redacted]"])

        var configuration = AccessLogConfiguration()
        configuration.requestHeaders.allowList = ["COOKIE"]
        let allowing = log(configuration)
        end(allowing, begin(allowing, fields))
        #expect(try request()["request_headers"] as? [String: [String]] == ["Cookie": ["s3cret"]])
    }

    @Test("access: the block list hides, and redaction stays")
    func blocked() throws {
        var configuration = AccessLogConfiguration()
        configuration.requestHeaders.blockList = ["accept"]
        let log = log(configuration)
        end(log, begin(log, [("Accept", "x"), ("Cookie", "c"), ("Via", "v")]))
        #expect(try request()["request_headers"] as? [String: [String]] == ["Cookie": ["[redacted]"], "Via": ["v"]])
    }

    @Test("access: a server error is a warning, and is written where the level asks for warnings only")
    func serverErrors() throws {
        let log = log(level: .warn)
        end(log, begin(log), status: 200)
        end(log, begin(log), status: 502, error: "upstream unreachable")
        #expect(capture.lines.count == 1)
        #expect(try capture.objects().first?["level"] as? String == "warn")
        #expect(try request()["error"] as? String == "upstream unreachable")
    }

    @Test("access: nothing is built when it is disabled")
    func disabled() {
        var configuration = AccessLogConfiguration()
        configuration.disable = true
        #expect(begin(log(configuration)) == nil)
    }

    @Test("access: whatever a client sends, the line is JSON of at most 4096 bytes with status and duration")
    func bounds() throws {
        let log = log()
        for size in [10, 500, 1000, 2000, 3000, 4000, 100_000] {
            let fields = (0..<size / 10).map { ("name-\($0)", "\u{1}\u{2}value") } + [("big", String(repeating: "\"", count: size))]
            let entry = begin(log, target: "/" + String(repeating: "ä", count: size), fields)
            withFields(fields) { log.respond(entry!, visitFields: $0) }
            end(log, entry, status: 200, error: "client closed")
            #expect(try #require(capture.lines.last).utf8.count <= 4096)
            #expect(try request()["status"] as? Int == 200)
            #expect(try request()["error"] as? String == "client closed")
        }
        #expect(try capture.objects().last?["cut"] as? Bool == true)
    }

    @Test("access: a line filled to any of its last bytes by the request is finished all the same")
    func filled() throws {
        let log = log()
        for size in 3_300...3_900 {
            let entry = begin(log, [("big", String(repeating: "x", count: size))])
            withFields([("more", "y")]) { log.respond(entry!, visitFields: $0) }
            end(log, entry, error: "client closed")
            #expect(try #require(capture.lines.last).utf8.count <= 4096)
        }
        #expect(try request()["error"] as? String == "client closed")
    }

    @Test("access: entries of requests under way at once do not mix")
    func interleaved() throws {
        let log = log()
        let entries = (0..<50).map { begin(log, target: "/\($0)") }
        for entry in entries { end(log, entry) }
        for round in 0..<50 { end(log, begin(log, target: "/again\(round)")) }
        let paths = try capture.objects().compactMap { ($0["request"] as? [String: Any])?["path"] as? String }
        #expect(paths == (0..<50).map { "/\($0)" } + (0..<50).map { "/again\($0)" })
    }
}
