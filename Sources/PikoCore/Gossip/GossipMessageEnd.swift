// SPDX-License-Identifier: MIT
// Where a message of gossip on a connection ends: no message says how long it is, but each is a known number of MessagePack values. Looks at
// every byte once, however it comes, and makes nothing of it. Pure; any thread. Whether the values mean anything is GossipMessage's to say.

/// Finds the end of one message that comes in pieces.
public struct GossipMessageEnd: Sendable {
    private enum Shape { case blob, list, map }

    private enum Awaited {
        case kind
        case version
        case value
        /// Big-endian bytes that say how long what comes next is.
        case length(left: Int, UInt64, Shape)
        /// Bytes of a value that say nothing of where it ends.
        case bytes(UInt64)
        /// The message is over, or none.
        case over
    }

    /// Of lists and maps; far more than any message has, and than its reader allows.
    private static let mostDepth = 32

    private var awaited: Awaited
    /// Values that are still to come, of the message and of each list or map that is open in it.
    private var open: [UInt64] = []

    private init(_ awaited: Awaited, values: UInt64) {
        self.awaited = awaited
        if values > 0 { open = [values] }
    }

    /// Of a message with its kind and version: a join or leave. Any other kind ends with its connection only.
    public static var ofRequest: GossipMessageEnd { GossipMessageEnd(.kind, values: 0) }

    /// Of the answer to a join, or to a leave.
    public static func ofReply(toJoin: Bool) -> GossipMessageEnd { GossipMessageEnd(.value, values: toJoin ? 2 : 1) }

    /// Takes the bytes that come next.
    /// - Returns: true when no more can come that would belong to it: it is whole, or no message.
    public mutating func isOver(after piece: UnsafeRawBufferPointer) -> Bool {
        var at = 0
        while at < piece.count {
            if case .over = awaited { return true }
            if case .bytes(let left) = awaited {
                let step = Int(min(left, UInt64(piece.count - at)))
                at += step
                skip(left - UInt64(step))
            } else {
                take(piece[at])
                at += 1
            }
        }
        if case .over = awaited { return true }
        return false
    }

    private mutating func take(_ byte: UInt8) {
        switch awaited {
        case .kind: takeKind(byte)
        case .version: awaited = byte == 0 ? .value : .over
        case .value: takeTag(byte)
        case .length(let left, let value, let shape):
            let value = value << 8 | UInt64(byte)
            if left > 1 { awaited = .length(left: left - 1, value, shape) } else { begin(shape, value) }
        case .bytes, .over: break
        }
    }

    private mutating func takeKind(_ byte: UInt8) {
        awaited = .version
        switch GossipMessage.Kind(rawValue: byte) {
        case .join: open = [3]
        case .leave: open = [2]
        case .digest, .delta: open = [.max]
        case nil: awaited = .over
        }
    }

    private mutating func takeTag(_ tag: UInt8) {
        switch tag {
        case 0..<0x80, 0xE0...0xFF, 0xC0, 0xC2, 0xC3: endValue()
        case 0x80..<0x90: begin(.map, UInt64(tag & 15))
        case 0x90..<0xA0: begin(.list, UInt64(tag & 15))
        case 0xA0..<0xC0: begin(.blob, UInt64(tag & 31))
        case 0xCA...0xD3: takeNumber(tag)
        default: takeLong(tag)
        }
    }

    /// Floats, then unsigned and signed integers of 1, 2, 4 and 8 bytes.
    private mutating func takeNumber(_ tag: UInt8) {
        skip(tag < 0xCC ? 4 << UInt64(tag - 0xCA) : 1 << UInt64((tag - 0xCC) & 3))
    }

    private mutating func takeLong(_ tag: UInt8) {
        switch tag {
        case 0xC4...0xC6: awaited = .length(left: 1 << Int(tag - 0xC4), 0, .blob)
        case 0xD9...0xDB: awaited = .length(left: 1 << Int(tag - 0xD9), 0, .blob)
        case 0xDC, 0xDD: awaited = .length(left: 2 << Int(tag - 0xDC), 0, .list)
        case 0xDE, 0xDF: awaited = .length(left: 2 << Int(tag - 0xDE), 0, .map)
        default: awaited = .over
        }
    }

    private mutating func begin(_ shape: Shape, _ count: UInt64) {
        switch shape {
        case .blob: skip(count)
        case .list: enter(count)
        case .map: enter(count * 2)
        }
    }

    private mutating func skip(_ count: UInt64) {
        if count > 0 { awaited = .bytes(count) } else { endValue() }
    }

    private mutating func enter(_ values: UInt64) {
        guard values > 0 else { return endValue() }
        guard open.count < Self.mostDepth else { return awaited = .over }
        open.append(values)
        awaited = .value
    }

    /// The last value of a list or map ends that as well.
    private mutating func endValue() {
        awaited = .value
        while let left = open.popLast() {
            if left > 1 { return open.append(left - 1) }
        }
        awaited = .over
    }
}
