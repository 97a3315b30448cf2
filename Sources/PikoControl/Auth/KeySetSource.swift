// SPDX-License-Identifier: MIT
// Reads a JSON Web Key Set again and again, from its issuer or from a file, whenever KeySetRefresh says so. Control loop only.
// What cannot be read changes nothing: the keys at hand stay.

import FoundationEssentials
import PikoCore
import PikoEngine

/// The reader of one key set. Loop-confined.
final class KeySetSource {
    /// Milliseconds between looks whether a file is another.
    private static let lookInterval: UInt64 = 1000
    private static let longest = 1 << 20

    private let place: KeySetPlace
    private let timeout: UInt64
    private let name: String
    private let log: Log
    private let loop: EventLoop
    /// Keys when they are others than before; nil when a read has ended otherwise. Whoever waits may be answered.
    private let onEnd: (SignatureKeys?) -> Void
    private let onFailure: () -> Void
    private var refresh: KeySetRefresh
    private var timer: Timer?
    private var lookTimer: Timer?
    private var exchange: PageExchange?
    private var stamp: FileStamp?
    private var lastText: Data?
    private var isOver = false

    init(
        _ place: KeySetPlace, _ configuration: JWKSConfiguration, name: String, log: Log, on loop: EventLoop,
        onFailure: @escaping () -> Void, onEnd: @escaping (SignatureKeys?) -> Void
    ) {
        self.place = place
        self.name = name
        self.log = log
        self.loop = loop
        self.onFailure = onFailure
        self.onEnd = onEnd
        timeout = configuration.timeout.wholeMilliseconds
        refresh = KeySetRefresh(age: configuration.cacheTTL.wholeMilliseconds)
    }

    func start() {
        timer = Timer(on: loop) { [unowned self] in tell(.due) }
        if case .file(let path) = place { watch(path) }
        tell(.started)
    }

    /// A token waits for a key that is not in the set.
    func keyIsUnknown() { tell(.unknownKey) }

    /// The operator says that the set may be another.
    func readAgain() { tell(.changed) }

    func end() {
        isOver = true
        timer = nil
        lookTimer = nil
        exchange?.cancel()
        exchange = nil
    }

    private func tell(_ event: KeySetRefresh.Event) {
        guard !isOver else { return }
        for directive in refresh.handle(event, now: loop.now) {
            switch directive {
            case .read: read()
            case .wait(let milliseconds): timer?.arm(milliseconds)
            case .settle: onEnd(nil)
            }
        }
    }

    private func read() {
        switch place {
        case .file(let path):
            didRead(Self.text(of: path).map { .success($0) } ?? .failure(PageFailure(reason: "a file that cannot be read")))
        case .page(let url, let target):
            var request = PageRequest(url: url, target: target, timeout: timeout)
            request.longest = Self.longest
            exchange = PageExchange(request, on: loop) { [weak self] in self?.didAnswer($0) }
            exchange?.start()
        }
    }

    /// The whole file of a key set; nil when it cannot be read or is too long. Any thread; blocks for it.
    static func text(of path: String) -> Data? { FileStamp.read(path, atMost: longest) }

    private func didAnswer(_ answer: Result<PageReply, PageFailure>) {
        exchange = nil
        didRead(answer.flatMap { $0.status == 200 ? .success(Data($0.body)) : .failure(PageFailure(reason: "status \($0.status)")) })
    }

    private func didRead(_ text: Result<Data, PageFailure>) {
        switch text {
        case .success(let text) where text == lastText: tell(.read)
        case .success(let text): take(text)
        case .failure(let failure): fail(failure.reason)
        }
    }

    private func take(_ text: Data) {
        do throws(KeyFault) {
            let keys = try SignatureKeys(keySet: text)
            lastText = text
            log.info("key set read") {
                $0.add("section", name)
                $0.add("keys", keys.count)
            }
            onEnd(keys)
            tell(.read)
        } catch {
            fail("expected \(error.expected)")
        }
    }

    private func fail(_ reason: String) {
        onFailure()
        log.warn("key set not read") {
            $0.add("section", name)
            $0.add("error", reason)
        }
        tell(.failed)
    }

    // MARK: A file

    private func watch(_ path: String) {
        stamp = FileStamp(path)
        lookTimer = Timer(on: loop) { [unowned self] in look(path) }
        lookTimer?.arm(Self.lookInterval)
    }

    private func look(_ path: String) {
        lookTimer?.arm(Self.lookInterval)
        let now = FileStamp(path)
        guard now != stamp else { return }
        stamp = now
        tell(.changed)
    }
}

extension FileStamp {
    /// The whole file; nil when it cannot be read or is longer.
    static func read(_ path: String, atMost longest: Int) -> Data? {
        guard let stamp = FileStamp(path), stamp.size <= longest else { return nil }
        return try? Data(contentsOf: URL(filePath: path))
    }
}
