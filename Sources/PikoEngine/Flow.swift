// SPDX-License-Identifier: MIT
// The Swift face of a flow: copies one direction from a connection to another in C. Lives on their loop; C holds one reference
// until it is done or stopped. It never closes a connection: its owner decides what an end means for the other side.

internal import CUV

/// How far a body goes.
public enum FlowFraming: Equatable, Sendable {
    /// Until the source ends.
    case untilEnd
    case none
    /// Bytes.
    case length(UInt64)
    /// Passed on byte for byte, trailers included.
    case chunked
    /// A chunked body of which only the payload is passed on (for an HTTP/1.0 peer).
    case dechunked
}

/// How a flow ended.
public enum FlowEnd: Equatable, Sendable {
    /// The framed end was reached, or the source ended where that is the end.
    case complete
    /// `EngineError.truncated` for an end before the framed end.
    case sourceBroke(EngineError)
    case sinkBroke(EngineError)
    /// A malformed chunked body; what came before was passed on.
    case badBody(EngineError)
    /// Nothing moved for the patience.
    case stalled
}

/// Hears how flows end; `tag` tells them apart.
public protocol FlowHandler: AnyObject {
    /// Once per flow that was not stopped; may come inside the source's read. `bytes`: passed on by this flow.
    func flowDidEnd(tag: Int, end: FlowEnd, bytes: UInt64)
}

/// One direction under way. Loop-confined.
public final class Flow {
    private var raw: OpaquePointer?
    private let tag: Int
    private unowned let handler: any FlowHandler
    private var finalBytes: UInt64 = 0

    private init(tag: Int, handler: any FlowHandler) {
        self.tag = tag
        self.handler = handler
    }

    /// Starts copying. Takes over reading of `source` and drain watching of `sink`; afterwards `source.startReading` takes it back.
    /// Bytes that the source keeps go first; inside its didRead, the bytes not taken go straight on.
    /// `keepOpen`: an untilEnd flow does not half close the sink. `patience` in milliseconds, 0: for ever.
    /// The handler must outlive the flow or stop it. nil when a connection has closed already.
    public static func start(
        from source: Connection, to sink: Connection, framing: FlowFraming,
        keepOpen: Bool = false, patience: UInt64 = 0, tag: Int, handler: any FlowHandler
    ) -> Flow? {
        guard let from = source.stream, let to = sink.stream else { return nil }
        let flow = Flow(tag: tag, handler: handler)
        var config = cuv_flow_config()
        config.source = from
        config.sink = to
        (config.framing, config.length) = framing.raw
        config.keep_open = keepOpen
        config.patience_ms = patience
        config.on_done = { Unmanaged<Flow>.fromOpaque($0!).takeRetainedValue().didEnd($2) }
        config.ctx = Unmanaged.passRetained(flow).toOpaque()
        guard let raw = cuv_flow_start(&config) else {
            Unmanaged.passUnretained(flow).release()
            return nil
        }
        flow.raw = raw
        return flow
    }

    /// Lets go of both connections; the handler is not called. Nothing happens when it has ended.
    public func stop() {
        guard let raw else { return }
        finalBytes = cuv_flow_bytes(raw)
        self.raw = nil
        cuv_flow_stop(raw)
        Unmanaged.passUnretained(self).release()
    }

    public var isRunning: Bool { raw != nil }

    /// Bytes passed on so far.
    public var bytes: UInt64 { raw.map { cuv_flow_bytes($0) } ?? finalBytes }

    fileprivate func didEnd(_ result: cuv_flow_result) {
        raw = nil
        finalBytes = result.bytes
        handler.flowDidEnd(tag: tag, end: FlowEnd(result), bytes: result.bytes)
    }
}

extension FlowFraming {
    fileprivate var raw: (cuv_framing, UInt64) {
        switch self {
        case .untilEnd: (CUV_FLOW_RAW, 0)
        case .none: (CUV_FLOW_EMPTY, 0)
        case .length(let bytes): (CUV_FLOW_LENGTH, bytes)
        case .chunked: (CUV_FLOW_CHUNKED, 0)
        case .dechunked: (CUV_FLOW_DECHUNK, 0)
        }
    }
}

extension FlowEnd {
    fileprivate init(_ result: cuv_flow_result) {
        let error = EngineError(code: result.error)
        switch result.end {
        case CUV_FLOW_SOURCE_BROKE: self = .sourceBroke(error)
        case CUV_FLOW_SINK_BROKE: self = .sinkBroke(error)
        case CUV_FLOW_BAD_BODY: self = .badBody(error)
        case CUV_FLOW_PATIENCE: self = .stalled
        default: self = .complete
        }
    }
}
