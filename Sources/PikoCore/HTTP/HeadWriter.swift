// SPDX-License-Identifier: MIT
// A growable run of bytes that outgoing heads are written into. Owned and reused by a connection (or a loop: its bytes are
// written to the stream before the next head); one thread at a time. It knows nothing of HTTP but how a line looks.

/// Bytes of an outgoing head. Append, hand `bytes` to the stream, `clear`.
///
/// Its properties are touched for each piece that is appended: the run-time exclusivity check would cost more than the
/// copying. None is ever passed inout.
public final class HeadWriter {
    @exclusivity(unchecked) private var start: UnsafeMutableRawPointer
    /// Bytes of memory.
    @exclusivity(unchecked) public private(set) var capacity: Int
    @exclusivity(unchecked) public private(set) var count = 0
    /// Let go of together with the memory of an unusually large head: whoever counts that.
    @exclusivity(unchecked) public var companion: (any AnyObject & Sendable)?

    private static let smallCapacity = 2048

    public init() {
        capacity = HeadWriter.smallCapacity
        start = .allocate(byteCount: capacity, alignment: 8)
    }

    deinit { start.deallocate() }

    /// What was written since `clear`. Valid until the next append, `clear` or `release`.
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

    /// Forgets the bytes, keeps the memory.
    public func clear() { count = 0 }

    /// Forgets the bytes and gives back what an unusually large head took.
    public func release() {
        count = 0
        companion = nil
        if capacity > HeadWriter.smallCapacity { grow(to: HeadWriter.smallCapacity) }
    }

    /// Makes room for so many more bytes.
    @inline(__always)
    public func reserve(_ more: Int) {
        if more > capacity &- count { grow(to: capacity(for: more)) }
    }

    /// What `capacity` is once there is room for so many more bytes.
    public func capacity(for more: Int) -> Int { more > capacity - count ? max(capacity * 2, count + more) : capacity }

    @inline(__always)
    func append(_ source: UnsafeRawPointer, _ length: Int) {
        reserve(length)
        (start + count).copyMemory(from: source, byteCount: length)
        count &+= length
    }

    private func grow(to larger: Int) {
        let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 8)
        moved.copyMemory(from: start, byteCount: count)
        start.deallocate()
        start = moved
        capacity = larger
    }
}

extension HeadWriter {
    /// Appends bytes as they are.
    @inline(__always)
    public func append(_ bytes: UnsafeRawBufferPointer) {
        if let start = bytes.baseAddress { append(start, bytes.count) }
    }

    /// Appends text as it is.
    @inline(__always)
    public func append(_ text: StaticString) {
        append(UnsafeRawPointer(text.utf8Start), text.utf8CodeUnitCount)
    }

    /// Appends text as it is. Not for a hot path. (Labelled, or every literal would become a String.)
    public func append(string: String) {
        var text = string
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    @inline(__always)
    public func append(byte: UInt8) {
        reserve(1)
        start.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count &+= 1
    }

    /// Appends a number in decimal.
    public func append(number: UInt64) {
        var scale: UInt64 = 1
        while number / scale >= 10 { scale *= 10 }
        while scale > 0 {
            append(byte: UInt8(0x30 + number / scale % 10))
            scale /= 10
        }
    }

    /// Appends a field line. The value must be free of control bytes: it is the caller's own, or from a parsed head.
    public func field(_ name: StaticString, _ value: StaticString) {
        append(name)
        append(": ")
        append(value)
        endLine()
    }

    /// Appends a field line. The value must be free of control bytes: it is the caller's own, or from a parsed head.
    public func field(_ name: StaticString, _ value: UnsafeRawBufferPointer) {
        append(name)
        append(": ")
        append(value)
        endLine()
    }

    /// Appends CRLF: the end of a line, or of the head.
    @inline(__always)
    public func endLine() { append("\r\n") }
}
