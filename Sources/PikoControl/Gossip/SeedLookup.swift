// SPDX-License-Identifier: MIT
// Looks up the configured seeds, again and again: names to all addresses they have now. Control loop only.
// Keeps what a name last resolved to for when the look-up fails: a resolver may be cut off together with the nodes.

import PikoCore
import PikoEngine

/// The nodes that `cluster.join` names. Loop-confined.
final class SeedLookup {
    /// What the seeds are now.
    struct Answer {
        /// "host:port" each, those of earlier look-ups included where a name failed.
        var addresses: [String]
        /// Of this look-up alone.
        var fresh: Set<String>
        /// Every name has its answer, be it that there is nobody: no one is slow, and no resolver is out of order.
        var isComplete: Bool
    }

    /// Milliseconds after which an answer does not wait for a slow name.
    private static let patience: UInt64 = 1_000

    private let seeds: [HostPort]
    private let loop: EventLoop
    private let onAnswer: (Answer) -> Void
    private var timer: Timer?
    private var known: [HostPort: [String]] = [:]
    private var fresh: Set<HostPort> = []
    /// Of which the resolver could not say whether they are names.
    private var unsettled: Set<HostPort> = []
    private var waiting: Set<HostPort> = []
    private var isAsked = false

    /// `onAnswer` never runs inside `ask`.
    init(_ seeds: [HostPort], on loop: EventLoop, onAnswer: @escaping (Answer) -> Void) {
        self.seeds = seeds
        self.loop = loop
        self.onAnswer = onAnswer
        timer = Timer(on: loop) { [unowned self] in answer() }
    }

    /// Looks all of them up; one that still is being looked up is not asked twice.
    func ask() {
        guard !seeds.isEmpty, !isAsked else { return }
        isAsked = true
        timer?.arm(Self.patience)
        for seed in seeds where waiting.insert(seed).inserted {
            Resolver.resolve(host: seed.host, port: seed.port, on: loop) { [weak self] in self?.resolved(seed, $0) }
        }
    }

    private func resolved(_ seed: HostPort, _ result: Result<[SocketAddress], EngineError>) {
        waiting.remove(seed)
        unsettled.remove(seed)
        switch result {
        case .success(let addresses):
            known[seed] = addresses.map(\.description)
            fresh.insert(seed)
        case .failure(let error):
            fresh.remove(seed)
            if !error.isNoSuchName { unsettled.insert(seed) }
        }
        if waiting.isEmpty { answer() }
    }

    private func answer() {
        guard isAsked else { return }
        isAsked = false
        timer?.disarm()
        var addresses: [String] = []
        for address in seeds.flatMap({ known[$0] ?? [] }) where !addresses.contains(address) { addresses.append(address) }
        onAnswer(
            Answer(
                addresses: addresses, fresh: Set(fresh.flatMap { known[$0] ?? [] }), isComplete: waiting.isEmpty && unsettled.isEmpty))
    }

    /// Answers nothing more.
    func end() {
        isAsked = false
        timer = nil
    }
}
