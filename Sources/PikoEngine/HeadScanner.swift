// SPDX-License-Identifier: MIT
// Finds the end of an HTTP/1 head, in C.
// A plain value; the meaning of the head is PikoCore's.

internal import CWire

/// How far a head has been scanned. One for each head; any thread.
public struct HeadScanner: Sendable {
    /// What the bytes so far are.
    public enum Answer: Equatable, Sendable {
        /// A whole head of so many bytes, its empty line included.
        case head(Int)
        case needsMore
        /// A fault of line structure (bare LF, NUL, folding); the reason for one log line.
        case malformed(EngineError)
    }

    private var scan = cw_head_scan()

    public init() {}

    /// Looks at the whole head so far: `bytes` always begins with its first byte. Nothing is scanned twice.
    public mutating func next(_ bytes: UnsafeRawBufferPointer) -> Answer {
        let typed = bytes.bindMemory(to: UInt8.self)
        let length = cw_head_scan_next(&scan, typed.baseAddress, typed.count)
        if length > 0 { return .head(Int(length)) }
        return length == 0 ? .needsMore : .malformed(EngineError(code: Int32(truncatingIfNeeded: length)))
    }

    /// Ready for the next head.
    public mutating func reset() { scan = cw_head_scan() }
}
