// SPDX-License-Identifier: MIT
// Waiting for the end of a head, a request's or a response's: a short one stays with its stream, a longer one is gathered, so that it is not the
// stream's window that decides how long a head can be. Loop-confined, inside a connection's didRead; what a head means is not known here.

import PikoCore
import PikoEngine

extension ProxyConnection {
    /// What becomes of an incomplete head.
    enum Waiting {
        /// So many of its bytes were taken; it waits for more.
        case taken(Int)
        case tooLarge
        /// Long heads have all the memory that they may have.
        case noRoom
    }

    /// Has a gathered head scanned together with the bytes that follow it, for which there is room. The scan says how much it took: 0 of an incomplete head.
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
    func wait(for bytes: UnsafeRawBufferPointer, isGathered: Bool, in memory: inout HeadWriter?) -> Waiting {
        if bytes.count > proxy.settings.headLimits.bytes { return .tooLarge }
        if isGathered || bytes.count < HTTPProxy.freeHead { return .taken(0) }
        let gathered = proxy.takeMessage()
        guard proxy.makeRoom(for: bytes.count, in: gathered) else {
            proxy.giveBack(gathered)
            return .noRoom
        }
        gathered.append(bytes)
        memory = gathered
        return .taken(bytes.count)
    }
}
