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

    private struct State {
        var verifier: TokenVerifier
        /// nil: there is no key set, or it is not read any more.
        var source: LoopBound<KeySetSource>?
        /// Key sets taken so far.
        var taken = 0
        /// Until the key set was read again.
        var waiting: [Question] = []
    }

    /// Tokens that wait for a key set at once.
    private static let mostWaiting = 4096

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
    ///   - onKeys: the key set has changed; on the control loop.
    ///   - onFailure: it could not be read; on the control loop.
    /// - Throws: a key that is none; the line names it.
    init(
        _ configuration: AuthConfiguration, name: String, insteadOf old: TokenAuthority? = nil, log: Log,
        onKeys: @escaping @Sendable () -> Void, onFailure: @escaping @Sendable () -> Void
    ) throws(ConfigurationError) {
        self.name = name
        self.configuration = configuration
        self.log = log
        self.onKeys = onKeys
        self.onFailure = onFailure
        let keys = configuration.jwks.endpoint.isEmpty ? try SignatureKeys(configuration, name: name) : old?.keys(of: configuration.jwks.endpoint)
        state = Mutex(State(verifier: TokenVerifier(rules: TokenRules(configuration), keys: keys)))
    }

    /// What was read of a key set; nil: it has read none, or another.
    private func keys(of endpoint: String) -> SignatureKeys? {
        configuration.jwks.endpoint == endpoint ? state.withLock { $0.verifier.keys } : nil
    }

    /// The answer comes once, on any thread, never inside this call.
    func ask(_ token: [UInt8], _ answer: @escaping Answer) {
        judgeLater(Question(token: token, answer: answer))
    }

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

    /// On the queue.
    private func judge(_ question: Question, isLast: Bool) {
        let (verdict, keySet) = verdict(on: question.token)
        switch verdict {
        case .granted(let grant): question.answer(.success(grant))
        case .refused(let fault): question.answer(.failure(fault))
        case .unknownKey: if isLast || !hold(question, judgedBy: keySet) { question.answer(.failure(faultOfUnknownKey)) }
        }
    }

    private var faultOfUnknownKey: TokenFault { state.withLock { $0.verifier.keys == nil } ? .keysUnavailable : .invalid }

    /// False: there is nothing to wait for. A key set that came meanwhile judges it at once, and nothing is read for it.
    private func hold(_ question: Question, judgedBy keySet: Int) -> Bool {
        let source = state.withLock { state -> LoopBound<KeySetSource>? in
            guard let source = state.source, state.waiting.count < Self.mostWaiting else { return nil }
            if state.taken == keySet { state.waiting.append(question) } else { judgeLater(question) }
            return source
        }
        return source?.post { [self] in if isAwaited { $0.keyIsUnknown() } } ?? false
    }

    /// A token waits: no read has ended since it came.
    private var isAwaited: Bool { state.withLock { !$0.waiting.isEmpty } }

    private func judgeLater(_ question: Question) { queue.async { [self] in judge(question, isLast: false) } }

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
        let waiting = state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
        for question in waiting { queue.async { [self] in judge(question, isLast: true) } }
    }
}
