// SPDX-License-Identifier: MIT
// Connections that a port has no room for: each is told so and ended. They are held while the answer leaves and the peer ends (a TLS handshake is
// waited for too), so they have a bound of their own. Loop-confined.

import PikoCore
import PikoEngine

/// Turns connections away.
final class Overflow: ConnectionHandler {
    /// How many may be on their way out at once; beyond it a connection is reset without a word.
    private static let most = 256
    private var leaving = 0

    /// Answers with this status and ends the connection. It must have no handler yet.
    func turnAway(_ connection: Connection, _ status: UInt16, _ text: StaticString) {
        guard leaving < Self.most else { return connection.abort() }
        leaving += 1
        connection.handler = self
        connection.write(answering: status, text: text)
        connection.close()
    }

    func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int { bytes.count }

    func connectionDidClose(_ connection: Connection, error: EngineError?) { leaving -= 1 }
}
