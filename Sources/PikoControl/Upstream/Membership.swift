// SPDX-License-Identifier: MIT
// Who may say that it forwards a request for a client: whoever speaks from a host that a member of the cluster advertises. One for each loop;
// loop-confined. It looks at the cluster again only when that has changed.

import PikoCore
import PikoEngine

/// The hosts of the other members.
public final class Membership {
    private let cluster: Cluster
    private let loop: EventLoop
    /// Numeric hosts, as SocketAddress prints them.
    private var hosts: Set<String> = []
    /// Of the cluster, when it was last looked at.
    private var generation = UInt64.max
    private var count: UInt64 = 0
    /// Names without an answer so far.
    private var unresolved: Set<String> = []
    private var timer: Timer?

    /// Milliseconds until names without an answer are asked for again.
    private static let pause: UInt64 = 1_000

    init(of cluster: Cluster, on loop: EventLoop) {
        self.cluster = cluster
        self.loop = loop
    }

    /// Another number, never 0, whenever `contains` may answer otherwise than before.
    func version() -> UInt64 {
        let now = cluster.generation
        if now != generation {
            generation = now
            look()
        }
        return count
    }

    /// Whether this is a member's address, as the cluster is now.
    func includes(_ address: SocketAddress) -> Bool {
        _ = version()
        return !hosts.isEmpty && contains(address)
    }

    /// Whether a member advertises this address's host. Ask for `version` first.
    func contains(_ address: SocketAddress) -> Bool { hosts.contains(address.host) }

    /// Nodes that left or cannot be reached still finish what they have, so they count until they are forgotten.
    private func look() {
        count += 1
        hosts = []
        unresolved = []
        for node in cluster.nodes where node.id != cluster.localID {
            guard let place = HostPort(node.proxyAddress), !place.host.isEmpty else { continue }
            if let numeric = SocketAddress(host: place.host, port: 0) { hosts.insert(numeric.host) } else { resolve(place.host) }
        }
    }

    /// Until its answer comes, a member that is known by a name is a stranger.
    private func resolve(_ name: String) {
        let asked = generation
        let isAsked = cluster.lookups.resolve(host: name, port: 0, on: loop) { [weak self] answer in
            guard let self, asked == generation else { return }
            guard case .success(let addresses) = answer else { return resolveLater(name) }
            count += 1
            hosts.formUnion(addresses.map(\.host))
        }
        if !isAsked { resolveLater(name) }
    }

    private func resolveLater(_ name: String) {
        unresolved.insert(name)
        let timer = timer ?? Timer(on: loop) { [unowned self] in
            let names = unresolved
            unresolved = []
            names.forEach(resolve)
        }
        self.timer = timer
        if !timer.isArmed { timer.arm(Self.pause) }
    }
}
