// SPDX-License-Identifier: MIT
// One TCP connection of gossip: reads one message of another node within ten seconds, has it taken, perhaps answers, closes. Control loop
// only. Where the message ends says GossipMessageEnd; under keys it comes in sealed pieces, whose end is known.

import PikoCore
import PikoEngine

/// One question or answer on a connection. Its connection holds it.
final class GossipStream: ConnectionHandler {
    enum Expected {
        case request
        case joinReply
        case leaveReply

        fileprivate var end: GossipMessageEnd { self == .request ? .ofRequest : .ofReply(toJoin: self == .joinReply) }
    }

    /// Milliseconds for one direction of an exchange, as the original's.
    static let patience: UInt64 = 10_000
    /// Bytes of one message: a join's reply is the state of a whole cluster.
    static let limits = (request: 16 << 20, reply: 64 << 20)

    private let connection: Connection
    private let budget: ByteBudget?
    private let patience: UInt64
    private let expected: Expected
    /// Under keys.
    private var exchange: SealedExchange?
    private var bytes: [UInt8] = []
    private var end: GossipMessageEnd
    private var deadline: Timer?
    private var hasHeard = false
    /// Ended by this side.
    private var isCut = false
    /// Gets the message once, nil when none came.
    private var onMessage: ((GossipStream, [UInt8]?) -> Void)?
    private var onClosed: ((GossipStream) -> Void)?
    /// Called for what is not taken, and for an answer that is not, before the connection is ended.
    var onRejected: (GossipRejection) -> Void = { _ in }

    /// Takes an open connection.
    /// - Parameters:
    ///   - exchange: this end of a sealed one; nil without keys.
    ///   - patience: milliseconds for the message, and as many for the answer to be read.
    init(
        _ connection: Connection, expecting expected: Expected, exchange: SealedExchange? = nil, budget: ByteBudget? = nil,
        patience: UInt64 = GossipStream.patience, onMessage: @escaping (GossipStream, [UInt8]?) -> Void, onClosed: @escaping (GossipStream) -> Void
    ) {
        self.connection = connection
        self.expected = expected
        end = expected.end
        self.exchange = exchange
        self.budget = budget
        self.patience = patience
        self.onMessage = onMessage
        self.onClosed = onClosed
        connection.handler = self
        deadline = Timer(on: connection.loop) { [unowned self] in giveUp() }
        deadline?.arm(patience)
        connection.startReading()
        if let opening = exchange?.opening, !opening.isEmpty { send(opening) }
    }

    /// Where the other end is.
    var peer: String { connection.peerAddress?.description ?? "" }

    /// Bytes as they are.
    func send(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { _ = connection.write($0) }
    }

    /// Writes the answer, which may be empty, and ends politely.
    func finish(with answer: [UInt8] = []) {
        deadline?.arm(patience)
        if !answer.isEmpty { send(exchange?.answer(answer) ?? answer) }
        connection.close()
    }

    func abort() {
        isCut = true
        connection.abort()
    }

    /// No message, or nobody reads the answer to it.
    private func giveUp() {
        onRejected(.late)
        abort()
    }

    func connection(_ connection: Connection, didRead piece: UnsafeRawBufferPointer) -> Int {
        guard onMessage != nil else { return piece.count }
        hasHeard = true
        if exchange != nil {
            for step in exchange?.receive(piece) ?? [] where onMessage != nil && !isCut { take(step) }
        } else if store(piece), end.isOver(after: piece) {
            deliver(bytes)
        }
        return piece.count
    }

    private func take(_ step: SealedExchange.Step) {
        switch step {
        case .send(let bytes): send(bytes)
        case .text(let text, let isLast):
            if text.withUnsafeBytes({ store($0) }), isLast { deliver(bytes) }
        case .refused(let reason):
            onRejected(reason)
            abort()
        }
    }

    /// False, and the end, where it is more than one may say.
    private func store(_ piece: UnsafeRawBufferPointer) -> Bool {
        let limit = expected == .request ? Self.limits.request : Self.limits.reply
        guard bytes.count + piece.count <= limit, budget?.take(piece.count) ?? true else {
            onRejected(.bound)
            abort()
            return false
        }
        bytes.append(contentsOf: piece)
        return true
    }

    private func deliver(_ message: [UInt8]?) {
        let last = onMessage
        onMessage = nil
        budget?.giveBack(bytes.count)
        bytes = []
        last?(self, message)
    }

    func connectionDidEnd(_ connection: Connection) {
        // A sealed message that has no end yet is none.
        if onMessage != nil { if bytes.isEmpty || exchange != nil { miss() } else { deliver(bytes) } }
        connection.close()
    }

    /// The other side ended before its message did. Who has said nothing at all only wanted to know whether somebody listens.
    private func miss() {
        if hasHeard, !isCut { onRejected(.truncated) }
        deliver(nil)
    }

    func connectionDidClose(_ connection: Connection, error: EngineError?) {
        if onMessage != nil { miss() }
        deadline = nil
        let last = onClosed
        onClosed = nil
        last?(self)
    }
}
