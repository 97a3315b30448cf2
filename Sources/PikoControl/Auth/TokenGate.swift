// SPDX-License-Identifier: MIT
// What one loop knows of one port's tokens: answers that were given before, and who waits for one. Loop-confined. It verifies nothing: it asks
// the port's authorities, and forgets all it knows when they have changed.

import PikoCore
import PikoEngine

/// A token that was let in, as the connection that brought it remembers it.
final class TokenPass: Sendable {
    let field: TokenField
    /// The field's whole value.
    let value: [UInt8]
    /// nil: this port asks for no tokens; it is for whoever does.
    let grant: TokenGrant?
    /// Of the port's tokens when it was let in.
    let version: UInt64

    init(_ field: TokenField, _ value: [UInt8], grant: TokenGrant?, version: UInt64) {
        self.field = field
        self.value = value
        self.grant = grant
        self.version = version
    }

    func isFor(_ field: TokenField, _ value: UnsafeRawBufferPointer) -> Bool {
        self.field == field && self.value.count == value.count && self.value.withUnsafeBytes { $0.elementsEqual(value) }
    }
}

/// A token that nobody has seen here yet.
struct TokenQuestion {
    let field: TokenField
    let value: [UInt8]
    let token: [UInt8]
    /// Empty: none.
    let tenant: String
    let authority: TokenAuthority
    /// Of the port's tokens when `authority` was chosen: its verdict counts for no other.
    let version: UInt64
}

/// The answer to a request for entry.
enum Admission {
    case granted(TokenPass)
    case refused(TokenFault)
    case unverified(TokenQuestion)
}

/// A port's tokens on one loop.
final class TokenGate {
    typealias Verdict = Result<TokenPass, TokenFault>

    private struct Wait {
        let question: TokenQuestion
        let answer: (Verdict) -> Void
        /// The authority's; nil: it has answered.
        var number: UInt64?
    }

    /// Found by mail; the loop's state holds the gate, not its mailbox.
    private final class Place {
        weak var gate: TokenGate?
    }

    let tokens: PortTokens
    private let mail: LoopBound<Place>
    private var cache = TokenCache()
    private var version: UInt64 = 0
    private var waits: [UInt64: Wait] = [:]
    private var lastTicket: UInt64 = 0

    /// On the loop.
    init(_ tokens: PortTokens, on loop: EventLoop) {
        self.tokens = tokens
        mail = LoopBound(on: loop)
        let place = Place()
        place.gate = self
        mail.value = place
    }

    /// Whether a request's token lets it in.
    /// - Parameter known: of the request before on the same connection, which mostly brings the same.
    func admit(_ head: RequestHead, known: TokenPass? = nil) -> Admission {
        let version = tokens.version
        if version != self.version { forget(version) }
        do throws(TokenFault) {
            let presented = try head.presentedToken()
            let now = TokenClock.now
            // A pass does not say whose keys let it in.
            if presented.tenant.isEmpty, let known, known.version == version, known.isFor(presented.field, presented.value),
                let grant = known.grant, now < grant.end {
                return .granted(known)
            }
            if let grant = cache.find(presented.token, tenant: presented.tenant, now: now) {
                return .granted(TokenPass(presented.field, Array(presented.value), grant: grant, version: version))
            }
            let tenant = String(decoding: presented.tenant, as: UTF8.self)
            return .unverified(
                TokenQuestion(
                    field: presented.field, value: Array(presented.value), token: Array(presented.token), tenant: tenant,
                    authority: try tokens.authority(tenant: tenant), version: version))
        } catch {
            return .refused(error)
        }
    }

    /// Has a token verified. `answer` runs once, in a later turn, unless `cancel` comes before.
    func ask(_ question: TokenQuestion, _ answer: @escaping (Verdict) -> Void) -> UInt64 {
        lastTicket += 1
        pose(Wait(question: question, answer: answer), lastTicket)
        return lastTicket
    }

    private func pose(_ wait: Wait, _ ticket: UInt64) {
        waits[ticket] = wait
        waits[ticket]?.number = wait.question.authority.ask(wait.question.token) { [mail] verdict in
            mail.post { $0.gate?.take(verdict, ticket) }
        }
    }

    /// Verifies within this call, for the few that cannot wait.
    func askNow(_ question: TokenQuestion) -> Verdict { settle(question, question.authority.askNow(question.token)) }

    /// Nobody waits for the verdict any more.
    func cancel(_ ticket: UInt64) {
        guard let wait = waits.removeValue(forKey: ticket), let number = wait.number else { return }
        wait.question.authority.withdraw(number)
    }

    private func take(_ verdict: Result<TokenGrant, TokenFault>, _ ticket: UInt64) {
        guard let wait = waits.removeValue(forKey: ticket) else { return }
        if wait.question.version == tokens.version { return wait.answer(settle(wait.question, verdict)) }
        askAgain(wait, ticket)
    }

    /// The verdict is by keys or rules that are in force no more.
    private func askAgain(_ wait: Wait, _ ticket: UInt64) {
        let old = wait.question
        let version = tokens.version
        guard tokens.areAsked else { return wait.answer(.success(TokenPass(old.field, old.value, grant: nil, version: version))) }
        do throws(TokenFault) {
            let question = TokenQuestion(
                field: old.field, value: old.value, token: old.token, tenant: old.tenant,
                authority: try tokens.authority(tenant: old.tenant), version: version)
            pose(Wait(question: question, answer: wait.answer), ticket)
        } catch {
            wait.answer(.failure(error))
        }
    }

    private func settle(_ question: TokenQuestion, _ verdict: Result<TokenGrant, TokenFault>) -> Verdict {
        verdict.map { grant in
            if question.version == tokens.version { keep(question, grant) }
            return TokenPass(question.field, question.value, grant: grant, version: question.version)
        }
    }

    private func keep(_ question: TokenQuestion, _ grant: TokenGrant) {
        if question.version != version { forget(question.version) }
        cache.keep(question.token, tenant: Array(question.tenant.utf8), grant)
    }

    private func forget(_ version: UInt64) {
        self.version = version
        cache.clear()
    }
}
