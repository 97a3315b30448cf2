// SPDX-License-Identifier: MIT
// What a node tells others of its addresses.
// No sockets; the machine's interfaces are made up.

import PikoCore
import PikoEngine
import Testing

@testable import PikoControl

@Suite struct AdvertisedAddressTests {
    private func advertised(_ configured: String?, bound: String, _ port: UInt16 = 8003) -> String {
        AdvertisedAddress.of(configured.flatMap { HostPort($0) }, bound: SocketAddress(host: bound, port: port)!) { "10.1.2.3" }
    }

    @Test("an address that was bound to is told as it is, with its real port")
    func bound() {
        #expect(advertised(nil, bound: "127.0.0.1", 40001) == "127.0.0.1:40001")
        #expect(advertised(nil, bound: "::1") == "[::1]:8003")
    }

    @Test("in place of all interfaces the machine's address is told", arguments: ["0.0.0.0", "::"])
    func any(_ host: String) {
        #expect(advertised(nil, bound: host) == "10.1.2.3:8003")
    }

    @Test("what is configured wins; what it leaves out is derived")
    func configured() {
        #expect(advertised("node-1.piko:9", bound: "127.0.0.1") == "node-1.piko:9")
        #expect(advertised("node-1.piko:0", bound: "127.0.0.1") == "node-1.piko:8003")
        #expect(advertised(":9", bound: "0.0.0.0") == "10.1.2.3:9")
        #expect(advertised("[2001:db8::1]:9", bound: "0.0.0.0") == "[2001:db8::1]:9")
    }

    private func choose(_ hosts: [(String, String)], route: String? = nil) -> String {
        MachineAddress.choose(
            hosts.map { MachineAddress.Candidate(interface: $0.0, host: $0.1, isIPv6: $0.1.contains(":")) }, defaultInterface: route)
    }

    @Test("machine: a private address goes before a public one, the default route's before another, IPv4 before IPv6")
    func machine() {
        let all = [("lo", "127.0.0.1"), ("lo", "::1"), ("docker0", "172.17.0.1"), ("eth0", "192.168.1.5"), ("eth1", "8.8.8.8"), ("eth0", "fe80::1%eth0"), ("eth0", "2001:db8::5")]
        #expect(choose(all, route: "eth0") == "192.168.1.5")
        #expect(choose(all, route: "eth1") == "172.17.0.1")
        #expect(choose([("eth1", "172.32.0.1"), ("eth2", "100.64.0.1")], route: "eth1") == "100.64.0.1")
        #expect(choose([("eth0", "2001:db8::5"), ("eth1", "8.8.8.8")]) == "8.8.8.8")
        #expect(choose([("eth0", "2001:db8::5"), ("lo", "127.0.0.1")]) == "2001:db8::5")
    }

    @Test("machine: with loopback and link-local addresses alone, 127.0.0.1")
    func lonely() {
        #expect(choose([("lo", "127.0.0.1"), ("eth0", "169.254.3.4"), ("eth0", "fe80::1%eth0")]) == "127.0.0.1")
        #expect(choose([]) == "127.0.0.1")
    }

    @Test("machine: this one has an address that a socket can have")
    func current() {
        #expect(SocketAddress(host: MachineAddress.current, port: 1) != nil)
    }
}
