// SPDX-License-Identifier: MIT
// Whether a request's token lets it in. A token that this connection or loop knows is answered at once; for another the request waits, its head
// unread, until the token was verified elsewhere. Loop-confined, inside the connection's didRead.

import PikoCore
import PikoEngine

extension ProxyConnection {
    enum Entry {
        case admitted
        case refused(TokenFault)
        /// The head stays unread and is read again when the verdict is there.
        case held
    }

    /// Milliseconds; a verdict comes sooner, whatever the issuer does.
    private static let patience: UInt64 = 120_000
    /// Bytes of `Bearer `.
    private static let scheme = 7

    /// - Parameter canWait: the head can be left unread.
    func enter(_ head: RequestHead, canWait: Bool) -> Entry {
        guard let gate = proxy.gate, gate.tokens.areAsked else {
            // On a token that is asked for no more; it is not to let in the next request, should they be asked for again.
            if verdict != nil { verdict = nil }
            keepForOthers(head)
            return .admitted
        }
        if let verdict {
            self.verdict = nil
            return settle(verdict, gate)
        }
        switch gate.admit(head, known: pass) {
        case .granted(let pass): return settle(.success(pass), gate)
        // A member brings none for a session, and one for each request on it.
        case .refused(.missing) where ReservedPath.isNodeSession(head.pathAndQuery) && isFromMember():
            pass = nil
            return .admitted
        case .refused(let fault): return settle(.failure(fault), gate)
        case .unverified(let question):
            guard canWait else { return settle(gate.askNow(question), gate) }
            hold(question, gate)
            return .held
        }
    }

    private func settle(_ verdict: TokenGate.Verdict, _ gate: TokenGate) -> Entry {
        switch verdict {
        case .success(let pass):
            if self.pass !== pass { self.pass = pass }
            return .admitted
        case .failure(let fault):
            pass = nil
            gate.tokens.count(fault)
            return .refused(fault)
        }
    }

    /// A token that means nothing here may mean something to the node that the request goes to.
    private func keepForOthers(_ head: RequestHead) {
        guard head.traits.hasToken, let value = head.fields.value(of: .xPikoAuthorization) else {
            if pass != nil { pass = nil }
            return
        }
        // It is kept between requests, and longer ones are no tokens.
        guard value.count <= PresentedToken.longest + Self.scheme else { return pass = nil }
        if let pass, pass.grant == nil, pass.isFor(.pikoAuthorization, value) { return }
        pass = TokenPass(.pikoAuthorization, Array(value), grant: nil, version: 0)
    }

    private func hold(_ question: TokenQuestion, _ gate: TokenGate) {
        state = .held
        setClock(Self.patience)
        ticket = gate.ask(question) { [unowned self] verdict in
            guard state == .held else { return }
            self.verdict = verdict
            downstream.resume()
        }
    }

    /// The head of a held request: again, when the verdict is there. Until it has been read the client's end is that of somebody who waits.
    func readHeld(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard verdict != nil else { return 0 }
        state = .idle
        return readHead(bytes)
    }

    /// Nobody waits for the verdict any more.
    func forgetHeld() { proxy.gate?.cancel(ticket) }

    /// Whether the token is for this endpoint, too.
    func mayReach(_ endpoint: String, isHostName: Bool) -> Bool {
        guard let grant = pass?.grant, !grant.permits(endpoint, isHostName: isHostName) else { return true }
        proxy.gate?.tokens.count(.notPermitted)
        return false
    }

    /// `authorization` was meant for us, not for the service.
    var consumedAuthorization: Bool { pass.map { $0.grant != nil && $0.field == .authorization } ?? false }

    /// The token as it came, for the node that the request goes to, which checks it again. In the field that no node lets through to a service,
    /// whichever it came in: a node that asks for no tokens takes `authorization` for the service's.
    func writeToken(to writer: HeadWriter) {
        guard let pass else { return }
        writer.append("x-piko-authorization: ")
        pass.value.withUnsafeBytes { writer.append($0) }
        writer.endLine()
    }
}
