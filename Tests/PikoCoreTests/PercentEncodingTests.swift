// SPDX-License-Identifier: MIT
// Path segments there and back.
// No sockets, no clock; runs on the test's thread.

import PikoCore
import Testing

@Suite struct PercentEncodingTests {
    @Test("segment: every byte survives the way there and back")
    func roundTrip() {
        let text = String(String.UnicodeScalarView((0x20..<0x180).compactMap(Unicode.Scalar.init))) + "a/b%2F"
        let encoded = PercentEncoding.pathSegment(text)
        #expect(!encoded.contains("/") && encoded.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F })
        #expect(PercentEncoding.decode(encoded.utf8).map { String(decoding: $0, as: UTF8.self) } == text)
    }

    @Test("segment: a percent sign without two hex digits is refused")
    func malformed() {
        for text in ["%", "%4", "%zz", "a%g0"] { #expect(PercentEncoding.decode(text.utf8) == nil) }
    }
}
