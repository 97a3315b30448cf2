// SPDX-License-Identifier: MIT
// Key sets: when one is read again, where it is, and the chunked answers that it comes in.
// No sockets, no clock.

import PikoCore
import Testing

struct KeySetDecisionTests {
    @Test("key set: it is read at the start and again when it is old")
    func age() {
        var refresh = KeySetRefresh(age: 60_000)
        #expect(refresh.handle(.started, now: 0) == [.read])
        #expect(refresh.handle(.read, now: 5) == [.wait(60_000), .settle])
        #expect(refresh.handle(.due, now: 60_005) == [.read])
        var usual = KeySetRefresh(age: 0)
        _ = usual.handle(.started, now: 0)
        #expect(usual.handle(.read, now: 0) == [.wait(KeySetRefresh.usualAge), .settle])
    }

    @Test("key set: an unknown key has it read at most once in ten seconds")
    func unknownKey() {
        var refresh = KeySetRefresh(age: 60_000)
        _ = refresh.handle(.started, now: 0)
        #expect(refresh.handle(.unknownKey, now: 1) == [], "a read is under way: its end settles")
        _ = refresh.handle(.read, now: 2)
        #expect(refresh.handle(.unknownKey, now: 3) == [.read])
        _ = refresh.handle(.read, now: 4)
        #expect(refresh.handle(.unknownKey, now: 10_002) == [.settle])
        #expect(refresh.handle(.unknownKey, now: 10_003) == [.read])
    }

    @Test("key set: a read that failed settles, and is repeated soon")
    func failure() {
        var refresh = KeySetRefresh(age: 3_600_000)
        _ = refresh.handle(.started, now: 0)
        #expect(refresh.handle(.failed, now: 100) == [.wait(10_000), .settle])
        #expect(refresh.handle(.due, now: 10_100) == [.read])
        #expect(refresh.handle(.due, now: 10_101) == [], "one read at a time")
    }

    @Test("key set: a file that has changed is read at once")
    func changed() {
        var refresh = KeySetRefresh(age: 60_000)
        _ = refresh.handle(.started, now: 0)
        _ = refresh.handle(.read, now: 0)
        #expect(refresh.handle(.changed, now: 1) == [.read])
    }

    @Test("key set: what changes while it is read is read again, once, before anybody is answered by it")
    func changedMeanwhile() {
        for end in [KeySetRefresh.Event.read, .failed] {
            var refresh = KeySetRefresh(age: 60_000)
            _ = refresh.handle(.started, now: 0)
            #expect(refresh.handle(.changed, now: 1) == [] && refresh.handle(.changed, now: 2) == [])
            #expect(refresh.handle(end, now: 3) == [.read])
            #expect(refresh.handle(.unknownKey, now: 4) == [])
            #expect(refresh.handle(.read, now: 5) == [.wait(60_000), .settle])
        }
    }

    @Test("key set: where it is")
    func place() throws {
        #expect(KeySetPlace("file:///etc/a%20b.json") == .file(path: "/etc/a b.json"))
        #expect(KeySetPlace("file://localhost/k") == .file(path: "/k"))
        let url = ConfiguredURL(host: "idp", port: 8080)
        #expect(KeySetPlace("http://idp:8080/keys/?p=1&q=2") == .page(url, target: "/keys/?p=1&q=2"))
        #expect(KeySetPlace("http://idp:8080") == .page(url, target: "/"))
        #expect(KeySetPlace("http://idp:8080?p=1") == .page(url, target: "/?p=1"))
        #expect(KeySetPlace("https://idp/k") == .page(ConfiguredURL(scheme: .https, host: "idp", port: 443), target: "/k"))
    }

    @Test("key set: where it cannot be", arguments: [
        "", "keys.json", "/keys.json", "ftp://h/k", "file://other/k", "file://", "file:///a%00b", "http://", "http:///k", "http://u@h/k",
        "http://h/k#f", "http://h/a b", "ws://h/k",
    ])
    func noPlace(_ text: String) { #expect(KeySetPlace(text) == nil) }

    private func take(_ text: String, pieces: Int) -> ChunkedText {
        var body = ChunkedText()
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: pieces) {
            bytes[start..<min(start + pieces, bytes.count)].withUnsafeBytes { body.take($0) }
        }
        return body
    }

    @Test("chunked: a body is the same for every split")
    func chunked() {
        let text = "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nx: y\r\n\r\nbehind"
        for pieces in 1...text.utf8.count {
            let body = take(text, pieces: pieces)
            #expect(body.isOver && String(decoding: body.payload, as: UTF8.self) == "hello world")
        }
        #expect(!take("5\r\nhello\r\n", pieces: 3).isOver)
    }

    @Test("chunked: what is no chunked body is broken", arguments: ["x\r\n", "\r\n", "+1\r\na", "5\nhello", "1\r\nab\r\n", "fffffffff\r\n"])
    func broken(_ text: String) { #expect(take(text, pieces: 1).isBroken) }
}
