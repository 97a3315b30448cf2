// SPDX-License-Identifier: MIT
// Durations, addresses and URLs as users write them.
// What reads, what is refused, and that what is shown reads back.

import PikoCore
import Testing

struct ConfigValueTests {
    @Test("duration: every documented form reads", arguments: [
        ("10s", .seconds(10)), ("1m30s", .seconds(90)), ("250ms", .milliseconds(250)), ("1.5h", .seconds(5400)),
        ("0", .zero), ("0s", .zero), ("100us", .microseconds(100)), ("7µs", .microseconds(7)), ("3ns", .nanoseconds(3)),
        ("1h2m3s4ms", .milliseconds(3_723_004)), (".5s", .milliseconds(500)),
    ] as [(String, Duration)])
    func durations(text: String, duration: Duration) {
        #expect(Duration(configured: text) == duration)
    }

    @Test("shown: a URL's user, password, query and fragment are not", arguments: [
        ("http://h:1/p", "http://h:1/p"), ("http://u:p@h/x", "http://[redacted]@h/x"), ("http://u:p@/?#@h", "http://[redacted]@h"),
        ("u:p@h:1", "[redacted]@h:1"), ("http://h/?a=b", "http://h/?[redacted]"), ("h?a=b", "h?[redacted]"), ("http://h#f", "http://h#[redacted]"),
        ("https://u@h/k?a", "https://[redacted]@h/k?[redacted]"), ("web@x", "web@x"), ("a?b", "a?b"), ("", ""), ("://", "://"), ("@", "@"),
    ])
    func masked(text: String, shown: String) { #expect(ShownText.masked(text) == shown) }

    @Test("duration: anything else is refused", arguments: [
        "", "10", "s", "10x", "-1s", "+1s", "1 s", "10s ", "1s1", "1..5s", "1e3s", "nan", "infs", "10S", "99999999999999h", "１s",
    ])
    func badDurations(text: String) {
        #expect(Duration(configured: text) == nil)
    }

    @Test("duration: the text it is shown as reads back", arguments: ["0", "1ms", "10s", "1m30s", "1h1m1s1ms1us1ns"])
    func shown(text: String) {
        #expect(Duration(configured: text)?.configured == text)
    }

    @Test("duration: milliseconds round up, so that a limit never becomes none")
    func milliseconds() {
        #expect(Duration.nanoseconds(1).wholeMilliseconds == 1)
        #expect(Duration.milliseconds(1500).wholeMilliseconds == 1500)
        #expect(Duration.zero.wholeMilliseconds == 0)
        #expect(Duration.seconds(-1).wholeMilliseconds == 0)
        #expect(Duration.seconds(Int64.max).wholeMilliseconds == .max)
    }

    @Test("address: host and port read", arguments: [
        (":8000", "", 8000), ("localhost:1", "localhost", 1), ("127.0.0.1:65535", "127.0.0.1", 65535),
        ("[::1]:8000", "::1", 8000), ("[fe80::1%eth0]:0", "fe80::1%eth0", 0), ("my_host-1.example:80", "my_host-1.example", 80),
    ] as [(String, String, UInt16)])
    func addresses(text: String, host: String, port: UInt16) {
        #expect(HostPort(text) == HostPort(host: host, port: port))
        #expect(HostPort(host: host, port: port).description == text)
    }

    @Test("address: anything else is refused", arguments: [
        "", "8000", "host", "host:", ":65536", ":-1", ":+1", "::1:8000", "[::1]", "[::1]8000", "[host]:80", "[]:80",
        "a b:80", "http://a:80", "a/b:80", "host:80 ", "a@b:80", "[::1]]:80",
    ])
    func badAddresses(text: String) {
        #expect(HostPort(text) == nil)
    }

    @Test("address: a port alone only where it is allowed")
    func portAlone() {
        #expect(HostPort("3000", portAloneOn: "localhost") == HostPort(host: "localhost", port: 3000))
        #expect(HostPort(":3000", portAloneOn: "localhost") == HostPort(host: "", port: 3000))
        #expect(HostPort("65536", portAloneOn: "localhost") == nil)
        #expect(HostPort("x", portAloneOn: "localhost") == nil)
    }

    @Test("URL: scheme, host, port and path", arguments: [
        ("http://a", .http, "a", 80, ""), ("https://a/", .https, "a", 443, ""), ("ws://a:1/p/q/", .http, "a", 1, "/p/q"),
        ("WSS://[::1]:9", .https, "::1", 9, ""), ("http://[::1]/x", .http, "::1", 80, "/x"),
    ] as [(String, ConfiguredURL.Scheme, String, UInt16, String)])
    func urls(text: String, scheme: ConfiguredURL.Scheme, host: String, port: UInt16, path: String) {
        #expect(ConfiguredURL(text) == ConfiguredURL(scheme: scheme, host: host, port: port, path: path))
    }

    @Test("URL: anything else is refused", arguments: [
        "", "a", "a:80", "http:", "http://", "http:///p", "ftp://a", "http://a:x", "http://a:70000", "http://u@a", "http://a?q",
        "http://a#f", "http://a b", "http://a/\r\nx: y", "http://a/é", "//a", "http://:80",
    ])
    func badURLs(text: String) {
        #expect(ConfiguredURL(text) == nil)
    }

    @Test("URL: the authority leaves the scheme's own port out and brackets IPv6")
    func authority() {
        #expect(ConfiguredURL("http://a:80")?.authority == "a")
        #expect(ConfiguredURL("http://a:443")?.authority == "a:443")
        #expect(ConfiguredURL("https://[::1]:443")?.authority == "[::1]")
        #expect(ConfiguredURL("http://[fe80::1%eth0]:8001")?.authority == "[fe80::1]:8001")
        #expect(ConfiguredURL("http://[::1]:8001/p")?.description == "http://[::1]:8001/p")
    }

    @Test("listener: what its address means", arguments: [
        ("3000", .http, "http://localhost:3000"), ("h:1", .http, "http://h:1"), (":1", .tcp, "http://localhost:1"),
        ("https://h/p", .http, "https://h/p"), ("[::1]:5", .tcp, "http://[::1]:5"),
    ] as [(String, ListenerConfiguration.TunnelProtocol, String)])
    func services(addr: String, tunnelProtocol: ListenerConfiguration.TunnelProtocol, url: String) {
        var listener = ListenerConfiguration()
        listener.addr = addr
        listener.protocol = tunnelProtocol
        #expect(listener.service?.description == url)
    }

    @Test("listener: a URL is no address of a tcp service")
    func tcpURL() {
        var listener = ListenerConfiguration()
        listener.addr = "http://h:1"
        listener.protocol = .tcp
        #expect(listener.service == nil)
    }
}
