// SPDX-License-Identifier: MIT
// That the keys of session tickets do not grow old: a server's context is made anew after half a day, though its files are as they were.
// Real files, made by the openssl command; the clock is the test's.

import Foundation
import PikoEngine
import Testing

@testable import PikoControl

@Suite struct TicketKeysTests {
    /// The path of a certificate and a key, without their endings.
    private func made() throws -> String {
        let path = NSTemporaryDirectory() + "ticket-keys-\(UUID().uuidString)"
        let keys = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout \(path).key -out \(path).pem"
        try #require(system("openssl req -x509 -days 2 -subj /CN=a \(keys) 2>/dev/null") == 0)
        return path
    }

    @Test("tickets: a server's keys are new after twelve hours, and not before")
    func renewed() throws {
        let path = try made()
        defer { for end in [".pem", ".key"] { try? FileManager.default.removeItem(atPath: path + end) } }
        let identity = try TLSIdentity(section: "proxy.tls", files: .init(isServer: true, certificate: path + ".pem", key: path + ".key"))
        let first = identity.context
        let now = EventLoop.nanoseconds
        let life: UInt64 = 12 * 3600 * 1_000_000_000
        #expect(identity.refresh(isForced: false, now: now + life - 60_000_000_000) == .unchanged)
        #expect(identity.context === first)
        #expect(identity.refresh(isForced: false, now: now + life + 1) == .read)
        #expect(identity.context !== first)
        #expect(identity.refresh(isForced: false, now: now + 2 * life) == .unchanged)
    }
}
