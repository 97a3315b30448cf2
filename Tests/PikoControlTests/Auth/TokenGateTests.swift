// SPDX-License-Identifier: MIT
// What a loop remembers of tokens when keys change while a verdict is on its way. One loop of the test's own, no sockets.
// Tokens are made with JWTKit.

import Foundation
import JWTKit
import PikoCore
import PikoEngine
import Synchronization
import Testing

@testable import PikoControl

private struct Payload: JWTPayload {
    func verify(using algorithm: some JWTAlgorithm) async throws {}
}

struct TokenGateTests {
    private static let first = "the first secret, and it is a long one"
    private static let second = "the second secret, longer than the first"

    private func token(_ secret: String) async throws -> String {
        let keys = JWTKeyCollection()
        await keys.add(hmac: HMACKey(from: Array(secret.utf8) + Array(repeating: 0, count: 64 - secret.utf8.count)), digestAlgorithm: .sha256)
        return try await keys.sign(Payload())
    }

    private func auth(_ secret: String) -> AuthConfiguration {
        var auth = AuthConfiguration()
        auth.hmacSecretKey = secret
        return auth
    }

    @Test("gate: a verdict by keys that were replaced meanwhile opens nothing and is not remembered")
    func replacedMeanwhile() async throws {
        let stage = try GateStage(auth(Self.first))
        let revoked = try await token(Self.first), good = try await token(Self.second)
        let next = try stage.tokens.make(auth(Self.second))
        // The verdict by the first secret finds the loop busy: it waits in the mailbox until the second is in force and known to the gate.
        let seen = stage.ask(revoked) { gate in
            gate.tokens.adopt(next, on: stage.loop)
            return GateStage.outcome(gate, good)
        }
        #expect(seen == "unverified")
        #expect(stage.verdict() == "invalid")
        #expect(stage.outcome(revoked) == "unverified")
        stage.ask(good)
        #expect(stage.verdict() == "granted")
        #expect(stage.outcome(good) == "granted", "what the keys in force let in is remembered")
        stage.end()
    }

    @Test("gate: a tenant's token is remembered, for that tenant only and until the tenants change")
    func ofTenants() async throws {
        let tenants = [("red", Self.first), ("blue", Self.first), ("green", Self.second)].map { id, secret in
            var tenant = TenantConfiguration()
            (tenant.id, tenant.auth) = (id, auth(secret))
            return tenant
        }
        let stage = try GateStage(AuthConfiguration(), tenants: tenants)
        let good = try await token(Self.first)
        stage.ask(good, tenant: "red")
        #expect(stage.verdict() == "granted")
        #expect(stage.outcome(good, tenant: "red") == "granted")
        #expect(stage.outcome(good, tenant: "blue") == "unverified" && stage.outcome(good, tenant: "green") == "unverified")
        #expect(stage.outcome(good) == "unknown_tenant" && stage.outcome(good, tenant: "none") == "unknown_tenant")
        let fewer = try stage.tokens.make(AuthConfiguration(), Array(tenants.dropFirst()))
        stage.loop.sync { stage.tokens.adopt(fewer, on: stage.loop) }
        #expect(stage.outcome(good, tenant: "red") == "unknown_tenant")
        stage.end()
    }

    @Test("gate: a key set that was read serves on where only the rules or others' keys change, though it can be read no more")
    func keptKeys() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "piko-keys-\(UInt64.random(in: 0...UInt64.max)).json")
        try Data(#"{"keys":[{"kty":"oct","k":"\#(Data(Self.first.utf8).base64EncodedString().replacing("=", with: ""))"}]}"#.utf8).write(to: file)
        var auth = AuthConfiguration()
        auth.jwks.endpoint = "file://\(file.path())"
        let stage = try GateStage(auth)
        stage.loop.sync { stage.tokens.start(on: stage.loop) }
        try FileManager.default.removeItem(at: file)
        let good = try await token(Self.first), before = try stage.tokens.authority(tenant: "")
        let same = try stage.tokens.make(auth)
        stage.loop.sync { stage.tokens.adopt(same, on: stage.loop) }
        #expect(try stage.tokens.authority(tenant: "") === before)
        stage.ask(good)
        #expect(stage.verdict() == "granted")
        auth.leeway = .seconds(1)
        let other = try stage.tokens.make(auth)
        stage.loop.sync { stage.tokens.adopt(other, on: stage.loop) }
        #expect(try stage.tokens.authority(tenant: "") !== before && stage.tokens.failedReads == 1)
        stage.ask(good)
        #expect(stage.verdict() == "granted")
        auth.jwks.endpoint += ".of-another"
        let elsewhere = try stage.tokens.make(auth)
        stage.loop.sync { stage.tokens.adopt(elsewhere, on: stage.loop) }
        stage.ask(good)
        #expect(stage.verdict() == "keys_unavailable", "keys of another place are none of this one's")
        stage.loop.sync { stage.tokens.end() }
        stage.end()
    }

    @Test("authority: beyond the tokens that may wait to be verified the answer is there at once, and says to come again")
    func crowded() throws {
        let log = Log(sink: LogSink(configuration: LogConfiguration()) { _ in true })
        let authority = try TokenAuthority(auth(Self.first), name: "proxy.auth", log: log, mostInLine: 0, onKeys: {}, onFailure: {})
        let seen = Mutex<[TokenFault]>([])
        let number = authority.ask(Array("x.y.z".utf8)) { verdict in
            if case .failure(let fault) = verdict { seen.withLock { $0.append(fault) } }
        }
        #expect(number == nil && seen.withLock { $0 } == [.overloaded])
        #expect(TokenFault.overloaded.status == 503)
    }

    @Test("gate: who waits while a port stops asking for tokens is let in")
    func openedMeanwhile() async throws {
        let stage = try GateStage(auth(Self.first))
        let open = try stage.tokens.make(AuthConfiguration())
        stage.ask("x.y.z") { $0.tokens.adopt(open, on: stage.loop) }
        #expect(stage.verdict() == "granted")
        stage.end()
    }
}

/// A gate on a loop of its own. Made, used and ended on the test's thread.
private final class GateStage: Sendable {
    let tokens: PortTokens
    let loop: EventLoop
    private let gate: LoopBound<TokenGate>
    private let turnstile = Turnstile()
    private let verdicts = Mutex<[String]>([])

    init(_ auth: AuthConfiguration, tenants: [TenantConfiguration] = []) throws {
        tokens = try PortTokens(port: "proxy", auth, tenants: tenants, log: Log(sink: LogSink(configuration: LogConfiguration()) { _ in true }))
        loop = try EventLoop(name: "test")
        gate = LoopBound(on: loop)
        try loop.start()
        loop.sync { [self] in gate.value = TokenGate(tokens, on: loop) }
    }

    /// Asks for the token's verdict, and does more in the same turn, in which the verdict cannot arrive.
    @discardableResult
    func ask<Answer: Sendable>(_ token: String, tenant: String = "", _ more: @escaping @Sendable (TokenGate) -> Answer = { _ in }) -> Answer? {
        gate.sync { [self] gate in
            guard case .unverified(let question) = Self.admit(gate, token, tenant) else { return more(gate) }
            _ = gate.ask(question) { [self] verdict in
                let text = switch verdict {
                case .success: "granted"
                case .failure(let fault): fault.label
                }
                verdicts.withLock { $0.append(text) }
                turnstile.wake()
            }
            return more(gate)
        }
    }

    /// The next verdict; "" where none comes.
    func verdict() -> String {
        _ = turnstile.wait(atMost: 10_000) { verdicts.withLock { !$0.isEmpty } }
        return verdicts.withLock { $0.isEmpty ? "" : $0.removeFirst() }
    }

    func outcome(_ token: String, tenant: String = "") -> String? { gate.sync { Self.outcome($0, token, tenant) } }

    static func outcome(_ gate: TokenGate, _ token: String, _ tenant: String = "") -> String {
        switch admit(gate, token, tenant) {
        case .granted: "granted"
        case .refused(let fault): fault.label
        case .unverified: "unverified"
        }
    }

    private static func admit(_ gate: TokenGate, _ token: String, _ tenant: String) -> Admission {
        let head = RequestHead(limits: HeadLimits())
        let named = tenant.isEmpty ? "" : "x-piko-tenant-id: \(tenant)\r\n"
        let bytes = Array("GET / HTTP/1.1\r\nhost: h\r\n\(named)x-piko-authorization: Bearer \(token)\r\n\r\n".utf8)
        return bytes.withUnsafeBytes {
            #expect(head.parse($0) == nil)
            return gate.admit(head)
        }
    }

    func end() {
        loop.sync { [gate] in gate.value = nil }
        loop.stop()
        #expect(loop.join() == EngineCounts())
    }
}
