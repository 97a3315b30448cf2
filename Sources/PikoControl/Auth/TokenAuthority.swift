// SPDX-License-Identifier: MIT
// Answers whether a token is good, for one section of the configuration: verifies on a queue of its own, off the loops, and has tokens wait
// while a key set is read that may have their key. Any thread. What a loop remembers of its answers is that loop's matter (TokenGate).

import Dispatch
import PikoCore
import PikoEngine
import Synchronization

/// One section's keys, rules and the source of its key set.
final class TokenAuthority: Sendable {
    typealias Answer = @Sendable (Result<TokenGrant, TokenFault>) -> Void

    private struct Question: Sendable {
        let token: [UInt8]
        let answer: Answer
    }

    private enum Hold {
        case waits(LoopBound<KeySetSource>)
        case again
        case refused(TokenFault)
    }

    private struct State {
        var verifier: TokenVerifier
        /// nil: there is no key set, or it is not read any more.
        var source: LoopBound<KeySetSource>?
        /// Key sets taken so far.
        var taken = 0
        var questions: OpenQuestions<Question>
        /// The queue is at them.
        var isJudging = false

        var faultOfUnknownKey: TokenFault { verifier.keys == nil ? .keysUnavailable : .invalid }

        /// In one step: behind the end of the source nobody would release it.
        mutating func hold(_ number: UInt64, judgedBy keySet: Int) -> Hold {
            guard let source else { return .refused(faultOfUnknownKey) }
            guard taken == keySet else {
                questions.putBack(number)
                return .again
            }
            return questions.hold(number) ? .waits(source) : .refused(.overloaded)
        }
    }

    /// Tokens in line to be verified at once, and those that wait for a key set: the queue is through with so many in some seconds.
    private static let most = 4096

    let name: String
    let configuration: AuthConfiguration
    private let log: Log
    private let state: Mutex<State>
    private let queue = DispatchQueue(label: "piko.tokens")
    /// Whoever remembers answers is to forget them: the keys are others.
    private let onKeys: @Sendable () -> Void
    private let onFailure: @Sendable () -> Void

    /// - Parameters:
    ///   - name: of the section, such as `proxy.auth`.
    ///   - old: what was in force in its place: where both read one key set, what it has read is used until it is read again.
    ///   - mostInLine: tokens that may wait to be verified.
    ///   - onKeys: the key set has changed; on the control loop.
    ///   - onFailure: it could not be read; on the control loop.
    /// - Throws: a key that is none; the line names it.
    init(
        _ configuration: AuthConfiguration, name: String, insteadOf old: TokenAuthority? = nil, log: Log, mostInLine: Int = most,
        onKeys: @escaping @Sendable () -> Void, onFailure: @escaping @Sendable () -> Void
    ) throws(ConfigurationError) {
        self.name = name
        self.configuration = configuration
        self.log = log
        self.onKeys = onKeys
        self.onFailure = onFailure
        let keys = configuration.jwks.endpoint.isEmpty ? try SignatureKeys(configuration, name: name) : old?.keys(of: configuration.jwks.endpoint)
        let questions = OpenQuestions<Question>(mostInLine: mostInLine, mostWaiting: Self.most)
        state = Mutex(State(verifier: TokenVerifier(rules: TokenRules(configuration), keys: keys), questions: questions))
    }

    /// What was read of a key set; nil: it has read none, or another.
    private func keys(of endpoint: String) -> SignatureKeys? {
        configuration.jwks.endpoint == endpoint ? state.withLock { $0.verifier.keys } : nil
    }

    /// The answer comes once, on any thread, unless it is withdrawn before; inside this call where too many tokens wait already.
    /// - Returns: the question's number, for `withdraw`; nil: it has its answer.
    func ask(_ token: [UInt8], _ answer: @escaping Answer) -> UInt64? {
        guard let number = state.withLock({ $0.questions.add(Question(token: token, answer: answer)) }) else {
            answer(.failure(.overloaded))
            return nil
        }
        judgeSoon()
        return number
    }

    /// Nobody waits for the answer any more: the token is not verified for it.
    func withdraw(_ number: UInt64) { state.withLock { $0.questions.withdraw(number) } }

    /// Verifies on the calling thread; a key set is not waited for.
    func askNow(_ token: [UInt8]) -> Result<TokenGrant, TokenFault> {
        switch verdict(on: token).0 {
        case .granted(let grant): return .success(grant)
        case .refused(let fault): return .failure(fault)
        case .unknownKey: return .failure(faultOfUnknownKey)
        }
    }

    /// And by which of the key sets.
    private func verdict(on token: [UInt8]) -> (TokenVerifier.Verdict, keySet: Int) {
        let (verifier, keySet) = state.withLock { ($0.verifier, $0.taken) }
        return (verifier.judge(token, now: TokenClock.now), keySet)
    }

    private func judgeSoon() {
        let isIdle = state.withLock { state in
            defer { state.isJudging = true }
            return !state.isJudging
        }
        if isIdle { queue.async { [self] in judgeAll() } }
    }

    private func judgeAll() {
        while let next = next() { judge(next) }
    }

    private func next() -> OpenQuestions<Question>.Next? {
        state.withLock { state in
            let next = state.questions.next()
            state.isJudging = next != nil
            return next
        }
    }

    /// On the queue.
    private func judge(_ next: OpenQuestions<Question>.Next) {
        let (verdict, keySet) = verdict(on: next.question.token)
        switch verdict {
        case .granted(let grant): close(next.number, .success(grant))
        case .refused(let fault): close(next.number, .failure(fault))
        case .unknownKey:
            if let fault = next.isLast ? faultOfUnknownKey : hold(next.number, judgedBy: keySet) { close(next.number, .failure(fault)) }
        }
    }

    private func close(_ number: UInt64, _ answer: Result<TokenGrant, TokenFault>) {
        state.withLock { $0.questions.close(number) }?.answer(answer)
    }

    private var faultOfUnknownKey: TokenFault { state.withLock { $0.faultOfUnknownKey } }

    /// nil: it waits. A key set that came meanwhile judges it at once, and nothing is read for it.
    private func hold(_ number: UInt64, judgedBy keySet: Int) -> TokenFault? {
        switch state.withLock({ $0.hold(number, judgedBy: keySet) }) {
        case .again: nil
        case .refused(let fault): fault
        case .waits(let source): source.post { [self] in if isAwaited { $0.keyIsUnknown() } } ? nil : faultOfUnknownKey
        }
    }

    /// A token waits: no read has ended since it came.
    private var isAwaited: Bool { state.withLock { $0.questions.hasWaiting } }

    // MARK: The key set

    /// Begins to read the key set, where there is one and it is not read already. Control loop only.
    func start(on loop: EventLoop) {
        guard let place = KeySetPlace(configuration.jwks.endpoint), state.withLock({ $0.source == nil }) else { return }
        let face = LoopBound<KeySetSource>(on: loop)
        let source = KeySetSource(place, configuration.jwks, name: name, log: log, on: loop, onFailure: onFailure) { [weak self] in self?.take($0) }
        face.value = source
        state.withLock { $0.source = face }
        source.start()
    }

    /// Reads the key set now; the keys at hand stay until it was read. Control loop only.
    func readAgain() { state.withLock { $0.source }?.value?.readAgain() }

    /// Reads no key set any more. Control loop only.
    func end() {
        let source = state.withLock { state in
            defer { state.source = nil }
            return state.source
        }
        source?.value?.end()
        source?.value = nil
        settle()
    }

    /// A read has ended; nil: the keys stay.
    private func take(_ keys: SignatureKeys?) {
        if let keys {
            state.withLock {
                $0.verifier.keys = keys
                $0.taken += 1
            }
            onKeys()
        }
        settle()
    }

    private func settle() {
        state.withLock { $0.questions.release() }
        judgeSoon()
    }
}
