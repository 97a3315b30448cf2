// SPDX-License-Identifier: MIT
// Waiting for the end of a head, a request's or a response's: a short one stays with its stream, a longer one is gathered, so that it is not the
// stream's window that decides how long a head can be. Loop-confined, inside a connection's didRead; what a head means is not known here.

import PikoCore
import PikoEngine

extension ProxyConnection {
    /// An incomplete head of at most so many bytes stays with its stream.
    private static let streamHeadLimit = 32 * 1024

    /// Has a gathered head scanned together with the bytes that follow it. The scan says how much it took: 0 of an incomplete head.
    /// - Returns: how many of `bytes` were taken, and the memory is given back; nil: incomplete, all of them are gathered.
    func scan(
        _ gathered: HeadWriter, with bytes: UnsafeRawBufferPointer, by scan: (UnsafeRawBufferPointer, _ isGathered: Bool) -> Int
    ) -> Int? {
        let before = gathered.count
        gathered.append(bytes)
        let taken = scan(gathered.bytes, true)
        guard taken > 0 else { return nil }
        proxy.giveBack(gathered)
        return taken - before
    }

    /// An incomplete head waits for more; `memory` is where a long one is gathered.
    /// - Returns: how many of `bytes` were taken; nil: the head is too large.
    func wait(for bytes: UnsafeRawBufferPointer, isGathered: Bool, in memory: inout HeadWriter?) -> Int? {
        if bytes.count > proxy.settings.headLimits.bytes { return nil }
        if isGathered || bytes.count < Self.streamHeadLimit { return 0 }
        let gathered = proxy.takeMessage()
        gathered.append(bytes)
        memory = gathered
        return bytes.count
    }
}
