// SPDX-License-Identifier: MIT
// One question to another node by TCP: connects, sends a join or leave, reads the reply. Control loop only.
// The message is made and read elsewhere.

import PikoCore
import PikoEngine

/// A join or leave on its way. Keeps itself alive until its completion ran, exactly once, or it was cancelled.
final class GossipCall {
    private let message: [UInt8]
    private let expected: GossipStream.Expected
    private let sealing: GossipSealing?
    private let onRejected: (GossipRejection) -> Void
    private var dialer: Dialer?
    private var stream: GossipStream?
    private var completion: (([UInt8]?) -> Void)?

    /// `completion` gets the reply, nil when none came or the address is none; it runs in a later turn.
    /// - Parameters:
    ///   - sealing: nil without keys.
    ///   - onRejected: called for what comes in place of a reply and is not taken.
    static func start(
        _ message: [UInt8], to address: String, expecting expected: GossipStream.Expected, sealing: GossipSealing?, on loop: EventLoop,
        onRejected: @escaping (GossipRejection) -> Void, completion: @escaping ([UInt8]?) -> Void
    ) -> GossipCall {
        let call = GossipCall(message, expected, sealing, onRejected, completion)
        guard let place = HostPort(address), !place.host.isEmpty else {
            nonisolated(unsafe) let this = call  // the letter comes back to this loop
            loop.post { this.finish(nil) }
            return call
        }
        call.dialer = Dialer.dial(host: place.host, port: place.port, timeout: GossipStream.patience, on: loop) { call.dialled($0) }
        return call
    }

    private init(
        _ message: [UInt8], _ expected: GossipStream.Expected, _ sealing: GossipSealing?, _ onRejected: @escaping (GossipRejection) -> Void,
        _ completion: @escaping ([UInt8]?) -> Void
    ) {
        self.message = message
        self.expected = expected
        self.sealing = sealing
        self.onRejected = onRejected
        self.completion = completion
    }

    private func dialled(_ result: Result<Connection, EngineError>) {
        dialer = nil
        switch result {
        case .failure: finish(nil)
        case .success(let connection):
            let exchange = sealing?.exchange(asking: message)
            let isPlain = exchange == nil
            stream = GossipStream(connection, expecting: expected, exchange: exchange) { [self] in replied($0, $1) } onClosed: { [self] _ in stream = nil }
            stream?.onRejected = onRejected
            if isPlain { stream?.send(message) }
        }
    }

    private func replied(_ stream: GossipStream, _ reply: [UInt8]?) {
        stream.finish()
        finish(reply)
    }

    private func finish(_ reply: [UInt8]?) {
        let last = completion
        completion = nil
        last?(reply)
    }

    /// Ends now; the completion does not run any more.
    func cancel() {
        completion = nil
        dialer?.cancel()
        dialer = nil
        stream?.abort()
    }
}
