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
    private let tunnels = Mutex<[ListenerName: TunnelID]>([:])

    /// The listener's tunnel is this one from now on. Returns the one that it replaces.
    func claim(_ listener: ListenerName, _ tunnel: TunnelID) -> TunnelID? {
        tunnels.withLock { $0.updateValue(tunnel, forKey: listener) }
    }

    /// The tunnel has ended; nothing when another has replaced it.
    func release(_ listener: ListenerName, _ tunnel: TunnelID) {
        tunnels.withLock { if $0[listener] == tunnel { $0[listener] = nil } }
    }
}
