// SPDX-License-Identifier: MIT
// Sealing as Swift sees it. The bytes are compared with other implementations in Tests/EngineC.
// No loop.

import Testing

@testable import PikoEngine

@Suite struct SealingKeyTests {
    private let secret = [UInt8](0..<32)

    private func key(_ purpose: String = "test", salt: [UInt8] = [1]) -> SealingKey { SealingKey(secret: secret, salt: salt, purpose: purpose) }

    @Test("sealing: what was sealed opens with the same secret, salt and purpose, and with nothing else")
    func opens() {
        let text: [UInt8] = Array("what nodes say".utf8)
        let head: [UInt8] = [1, 2, 3]
        let sealed = key().seal(text[...], nonce: 5, head: head[...])
        #expect(sealed.count == text.count + SealingKey.tagSize)
        #expect(key().open(sealed[...], nonce: 5, head: head[...]) == text)
        #expect(key().open(sealed[...], nonce: 6, head: head[...]) == nil)
        #expect(key().open(sealed[...], nonce: 5, head: head.dropLast()) == nil)
        #expect(key("other").open(sealed[...], nonce: 5, head: head[...]) == nil)
        #expect(key(salt: [2]).open(sealed[...], nonce: 5, head: head[...]) == nil)
        #expect(key().open(sealed.dropLast(), nonce: 5, head: head[...]) == nil)
        #expect(key().open([], nonce: 5, head: []) == nil)
    }

    @Test("sealing: one key seals and opens in turn, an empty text too")
    func turns() {
        let one = key()
        for nonce in 0..<UInt64(50) {
            let text = [UInt8](repeating: UInt8(nonce), count: Int(nonce))
            #expect(one.open(one.seal(text[...], nonce: nonce, head: [])[...], nonce: nonce, head: []) == text)
        }
    }
}
