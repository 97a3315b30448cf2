// SPDX-License-Identifier: MIT
// Which tunnel belongs to which listener of an agent of ours (`x-piko-listener`), so that one that is dialled again takes the place of the old
// one: the agent has given that up, this node just has not noticed. Behind a lock held for one look-up. It holds names, never sessions.

import PikoCore
import PikoEngine
import Synchronization

/// A listener of an agent: random for each listener and process, and its endpoint, so that nobody replaces what he may not be.
struct ListenerName: Hashable, Sendable {
    let id: UInt64
    let endpoint: String

    /// From the field's value; nil when it is none of ours.
    init?(id text: UnsafeRawBufferPointer?, endpoint: String) {
        guard let text, !text.isEmpty, text.count <= 16, let id = UInt64(String(decoding: text, as: UTF8.self), radix: 16)
        else { return nil }
        self.id = id
        self.endpoint = endpoint
    }
}

/// The node's listeners that have a tunnel here. Any thread.
final class ListenerClaims: Sendable {
    private struct Claim {
        let tunnel: TunnelID
        /// Dials for another tunnel that this node, about to leave, has refused since.
        var refusals = 0
    }

    private let claims = Mutex<[ListenerName: Claim]>([:])

    /// The listener's tunnel is this one from now on. Returns the one that it replaces.
    func claim(_ listener: ListenerName, _ tunnel: TunnelID) -> TunnelID? {
        claims.withLock { $0.updateValue(Claim(tunnel: tunnel), forKey: listener)?.tunnel }
    }

    /// The listener's tunnel here, whatever has become of it.
    func tunnel(of listener: ListenerName) -> TunnelID? { claims.withLock { $0[listener]?.tunnel } }

    /// The listener looked for another node and came here again.
    func refused(_ listener: ListenerName) { claims.withLock { $0[listener]?.refusals += 1 } }

    /// Tunnels of listeners that came here again so many times or more.
    func tunnels(refused count: Int) -> [TunnelID] {
        claims.withLock { $0.values.compactMap { $0.refusals >= count ? $0.tunnel : nil } }
    }

    /// The tunnel has ended; nothing when another has replaced it.
    func release(_ listener: ListenerName, _ tunnel: TunnelID) {
        claims.withLock { if $0[listener]?.tunnel == tunnel { $0[listener] = nil } }
    }
}
