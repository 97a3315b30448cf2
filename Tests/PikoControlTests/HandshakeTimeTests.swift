// SPDX-License-Identifier: MIT
// How long a client may take to shake hands.
// Values only.

import PikoControl
import Testing

struct HandshakeTimeTests {
    @Test("handshake: as long as a head may take, ten seconds where that has no limit")
    func timeout() {
        var settings = HTTPProxySettings(role: .server)
        settings.readHeaderTimeout = 700
        #expect(settings.handshakeTimeout == 700)
        settings.readHeaderTimeout = 0
        #expect(settings.handshakeTimeout == 10_000)
    }
}
