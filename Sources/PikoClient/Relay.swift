// SPDX-License-Identifier: MIT
// Two connections joined into one: a flow each way, half close passed on, until both directions ended or either side broke.
// Lives on the loop of its connections. Moves no byte itself (flows do, in C) and knows no protocol.

import PikoEngine

/// How a relay ended.
public struct RelayEnd: Sendable {
    /// nil when both directions ended cleanly.
    public let error: EngineError?
    /// Bytes passed on from the first to the second connection.
    public let sent: UInt64
    /// And back.
    public let received: UInt64
}

/// Joins two open connections of one loop. They keep it alive through their handlers until both have closed.
public final class Relay: ConnectionHandler, FlowHandler {
    private static let forth = 0
    private static let back = 1

    private let first: Connection
    private let second: Connection
    private var flows: [Flow?] = [nil, nil]
    private var moved: [UInt64] = [0, 0]
    private var running = 2
    private var failure: EngineError?
    private var open = 2
    private let onEnd: (RelayEnd) -> Void

    private init(_ first: Connection, _ second: Connection, onEnd: @escaping (RelayEnd) -> Void) {
        self.first = first
        self.second = second
        self.onEnd = onEnd
    }

    /// Takes over both connections. `onEnd` runs once, when both have closed. Bytes that a connection keeps go first.
    @discardableResult
    public static func join(
        _ first: Connection, _ second: Connection, onEnd: @escaping (RelayEnd) -> Void
    ) -> Relay {
        let relay = Relay(first, second, onEnd: onEnd)
        first.handler = relay
        second.handler = relay
        relay.start()
        return relay
    }

    private func start() {
        flows[Self.forth] = Flow.start(from: first, to: second, framing: .untilEnd, tag: Self.forth, handler: self)
        flows[Self.back] = Flow.start(from: second, to: first, framing: .untilEnd, tag: Self.back, handler: self)
        if flows[Self.forth] == nil || flows[Self.back] == nil { abort() }
    }

    /// Ends both connections now.
    public func abort() { fail(.aborted) }

    private func fail(_ error: EngineError) {
        failure = failure ?? error
        for index in flows.indices { stopFlow(index) }
        first.abort()
        second.abort()
    }

    private func stopFlow(_ index: Int) {
        guard let flow = flows[index] else { return }
        moved[index] = flow.bytes
        flow.stop()
        flows[index] = nil
    }

    public func flowDidEnd(tag: Int, end: FlowEnd, bytes: UInt64) {
        flows[tag] = nil
        moved[tag] = bytes
        switch end {
        case .complete: directionEnded()
        case .sourceBroke(let error), .sinkBroke(let error), .badBody(let error): fail(error)
        case .stalled: fail(.timeout)
        }
    }

    private func directionEnded() {
        running -= 1
        guard running == 0 else { return }
        first.close()
        second.close()
    }

    public func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int { bytes.count }

    public func connectionDidClose(_ connection: Connection, error: EngineError?) {
        open -= 1
        if running > 0 || error != nil { fail(error ?? .closed) }
        guard open == 0 else { return }
        onEnd(RelayEnd(error: failure, sent: moved[Self.forth], received: moved[Self.back]))
    }
}
