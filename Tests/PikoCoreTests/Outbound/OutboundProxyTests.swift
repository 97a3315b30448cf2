// SPDX-License-Identifier: MIT
// Which proxy a server is reached through: how a proxy is written, what the environment says, what it exempts.
// Pure.

import Testing

@testable import PikoCore

@Suite struct OutboundProxyTests {
    @Test("proxy: scheme, port, user and password read, percent-encoded ones too", arguments: [
        ("http://p:3128", OutboundProxy(host: "p", port: 3128)), ("p:3128", OutboundProxy(host: "p", port: 3128)),
        ("http://p", OutboundProxy(host: "p", port: 80)), ("https://p/", OutboundProxy(scheme: .https, host: "p", port: 443)),
        ("http://[::1]:8080", OutboundProxy(host: "::1", port: 8080)),
        ("http://me:pass@p:1", OutboundProxy(host: "p", port: 1, user: "me", password: "pass")),
        ("http://me@p:1", OutboundProxy(host: "p", port: 1, user: "me")),
        ("me:a:b@p:1", OutboundProxy(host: "p", port: 1, user: "me", password: "a:b")),
        ("HTTP://m%40e:%2f%25@p:1", OutboundProxy(host: "p", port: 1, user: "m@e", password: "/%")),
        ("http://me:p@ss@p:1", OutboundProxy(host: "p", port: 1, user: "me", password: "p@ss")),
    ] as [(String, OutboundProxy)])
    func reads(text: String, proxy: OutboundProxy) {
        #expect(OutboundProxy(text) == proxy)
    }

    @Test("proxy: anything else is refused", arguments: [
        "", "http://", "socks5://p:1", "ws://p:1", "http://p:x", "http://p:1/path", "http://p:1?q", "http://p:1#f", "http://me:%0d%0a@p:1",
        "http://me:%4@p:1", "http://m%3Ae:x@p:1", "http://a b:1", "http://me@", "://p:1", "http://p:0x1",
    ])
    func refuses(text: String) {
        #expect(OutboundProxy(text) == nil)
    }

    @Test("proxy: what is sent of user and password, and that the description shows neither")
    func authorization() {
        let proxy = OutboundProxy("http://Aladdin:open%20sesame@p:3128")
        #expect(proxy?.authorization == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
        #expect(proxy?.description == "p:3128")
        #expect(OutboundProxy("http://test:123%C2%A3@p")?.authorization == "Basic dGVzdDoxMjPCow==")
        #expect(OutboundProxy("p:1")?.authorization == nil)
        #expect(OutboundProxy("http://@p:1")?.authorization == "Basic Og==")
    }

    private func proxy(_ variables: [String: String], _ url: String) throws -> String? {
        try ProxyEnvironment { variables[$0] }.proxy(for: ConfiguredURL(url)!)?.description
    }

    @Test("environment: the variable of the server's scheme, upper case first; an empty one is none")
    func variables() throws {
        let both = ["HTTP_PROXY": "a:1", "HTTPS_PROXY": "b:2"]
        #expect(try proxy(both, "http://s") == "a:1")
        #expect(try proxy(both, "wss://s") == "b:2")
        #expect(try proxy(["http_proxy": "c:3"], "http://s") == "c:3")
        #expect(try proxy(["HTTP_PROXY": "", "http_proxy": "c:3"], "http://s") == "c:3")
        #expect(try proxy(["HTTP_PROXY": "a:1", "http_proxy": "c:3"], "http://s") == "a:1")
        #expect(try proxy(["HTTPS_PROXY": "b:2"], "http://s") == nil)
        #expect(try proxy(both.merging(["no_proxy": "s"]) { $1 }, "http://s") == nil)
        #expect(try proxy([:], "http://s") == nil)
    }

    @Test("environment: this machine is reached without a proxy", arguments: ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"])
    func local(host: String) throws {
        #expect(try proxy(["HTTP_PROXY": "a:1"], "http://\(host):8001") == nil)
    }

    @Test("environment: a variable that names no proxy is an error by its name, without its value")
    func broken() {
        let error = #expect(throws: ConfigurationError.self) { try proxy(["https_proxy": "socks5://me:secret@p"], "https://s") }
        #expect(error?.message == "https_proxy: expected an http or https URL such as http://user:password@localhost:3128")
    }

    @Test("exempt: names and all below, dots for those below alone, addresses, blocks, ports, the star", arguments: [
        ("*", "any", 1, true), ("", "any", 1, false), ("example.com", "example.com", 1, true), ("example.com", "a.b.example.com", 1, true),
        ("example.com", "notexample.com", 1, false), ("Example.COM", "A.example.com.", 1, true), (".example.com", "example.com", 1, false),
        (".example.com", "a.example.com", 1, true), ("*.example.com", "a.example.com", 1, true), ("*.example.com", "example.com", 1, false),
        ("example.com:8001", "example.com", 8001, true), ("example.com:8001", "example.com", 8002, false), ("*.a:1", "b.a", 1, true),
        ("10.0.0.0/8", "10.200.1.2", 1, true), ("10.0.0.0/8", "11.0.0.1", 1, false), ("10.0.0.0/9", "10.200.0.1", 1, false),
        ("0.0.0.0/0", "8.8.8.8", 1, true), ("0.0.0.0/0", "::1", 1, false), ("0.0.0.0/0", "name", 1, false), ("fd00::/8", "fd12::3", 1, true),
        ("fd00::/8", "fe80::1", 1, false), ("10.1.2.3", "10.1.2.3", 1, true), ("10.1.2.3", "10.1.2.33", 1, false), ("10.1.2.3:80", "10.1.2.3", 81, false),
        ("[fd00::1]:80", "fd00:0::1", 80, true), ("fd00::1", "fd00::1", 1, true), ("[fd00::1]", "fd00::1%eth0", 1, true), ("::ffff:10.1.2.3", "10.1.2.3", 1, true),
        ("a, b ,c", "b", 1, true), ("a b", "b", 1, true), (",,", "x", 1, false), ("1.2.3", "0.1.2.3", 1, false), ("10.0.0.0/33", "10.0.0.0", 1, false),
    ] as [(String, String, UInt16, Bool)])
    func exemptions(list: String, host: String, port: UInt16, isCovered: Bool) {
        #expect(ProxyExemptions(list).cover(host: host, port: port) == isCovered)
    }

    @Test("address: what reads as one", arguments: [
        ("1.2.3.4", true), ("::", true), ("1::", true), ("::1", true), ("1:2:3:4:5:6:7:8", true), ("1:2:3:4:5:6:1.2.3.4", true), ("::ffff:1.2.3.4", true),
        ("1.2.3", false), ("1.2.3.256", false), ("1:2", false), ("1::2::3", false), ("1:2:3:4:5:6:7:8:9", false), ("12345::", false), (":1", false), ("1:", false),
        ("::1:2:3:4:5:6:7:8", false), ("+1::", false), ("", false), ("a.b.c.d", false), ("1:::2", false),
    ])
    func addresses(text: String, isAddress: Bool) {
        #expect((NumericAddress(text) != nil) == isAddress)
    }
}
