// SPDX-License-Identifier: MIT
// Every error has words of its own, so that a log line says which it was.
// No sockets; runs on the test's thread.

import CWire
import Testing

@Suite struct ErrorTests {
    @Test("errors: each has its own words, and an unknown one has some too")
    func words() {
        let all = [
            CW_E_WS_RESERVED, CW_E_WS_CONTROL, CW_E_WS_LENGTH, CW_E_YAMUX_VERSION, CW_E_YAMUX_TYPE, CW_E_YAMUX_FLAGS,
            CW_E_YAMUX_STREAM, CW_E_CHUNK_SIZE, CW_E_CHUNK_EXT, CW_E_CHUNK_END, CW_E_TRAILER, CW_E_HEAD_LF, CW_E_HEAD_CR,
            CW_E_HEAD_NUL, CW_E_HEAD_FOLD, 0,
        ]
        #expect(all.dropLast().allSatisfy { $0 < 0 })
        #expect(Set(all.map { String(cString: cw_strerror(Int32($0))) }).count == all.count)
    }
}
