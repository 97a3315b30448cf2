// SPDX-License-Identifier: MIT
// Takes a chunked body apart as it comes (RFC 9112 7.1), for the few answers that are read whole by us; what is proxied never comes here.
// Pure and strict; extensions and trailers are skipped, within bounds.

/// A chunked body on its way in.
public struct ChunkedText: Sendable {
    private enum Part { case size, data, dataEnd, trailer, over, broken }

    /// The payload so far.
    public private(set) var payload: [UInt8] = []
    private var part = Part.size
    private var line: [UInt8] = []
    private var left = 0

    private static let longestLine = 4096

    public init() {}

    /// The last chunk and its trailer have come.
    public var isOver: Bool { part == .over }
    /// It is no chunked body; nothing of it counts.
    public var isBroken: Bool { part == .broken }

    /// Takes what came, in pieces of any size; bytes behind the end are dropped.
    public mutating func take(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes[...]
        while !rest.isEmpty, part != .over, part != .broken {
            if part == .data { takeData(&rest) } else { takeLine(rest.removeFirst()) }
        }
    }

    private mutating func takeData(_ rest: inout Slice<UnsafeRawBufferPointer>) {
        let count = min(left, rest.count)
        payload += rest.prefix(count)
        rest = rest.dropFirst(count)
        left -= count
        if left == 0 { part = .dataEnd }
    }

    private mutating func takeLine(_ byte: UInt8) {
        line.append(byte)
        if line.count > Self.longestLine { part = .broken }
        guard byte == UInt8(ascii: "\n"), part != .broken else { return }
        defer { line.removeAll(keepingCapacity: true) }
        guard line.count > 1, line[line.count - 2] == UInt8(ascii: "\r") else { return part = .broken }
        switch part {
        case .size: beginChunk(line.dropLast(2))
        case .dataEnd: part = line.count == 2 ? .size : .broken
        case .trailer: if line.count == 2 { part = .over }
        case .data, .over, .broken: break
        }
    }

    private mutating func beginChunk(_ line: ArraySlice<UInt8>) {
        let digits = line.prefix { $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: " ") }
        guard (1...8).contains(digits.count), digits.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
            let size = Int(String(decoding: digits, as: UTF8.self), radix: 16)
        else { return part = .broken }
        left = size
        part = size > 0 ? .data : .trailer
    }
}
