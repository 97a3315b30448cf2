// SPDX-License-Identifier: MIT
// Writes a parsed response head for the client: status, reason and lines byte for byte and in order, without what was meant
// for the hop it came over. Pure but for the writer it appends to; loop-confined like the head; no allocation.

/// What to do to a response head on its way.
public struct ResponseRewrite: Sendable {
    public var connection = ConnectionOption.implied
    /// The body goes on without its chunks (an HTTP/1.0 client): Transfer-Encoding and Trailer are removed. Needs `close`.
    public var removesChunks = false
    /// Adds `x-piko-loops` with these, for the node that forwarded the request; empty: nothing is added.
    public var loops: [Int] = []

    public init() {}
}

extension ResponseHead {
    /// Appends the head for the client to `writer`, its empty line included. Only after a `parse` that returned nil.
    ///
    /// The version is HTTP/1.1 whatever the service spoke (RFC 9110 2.5). Hop-by-hop fields and what Connection nominates are
    /// removed as in a request; Upgrade is kept with 101 and 426, with its own `Connection: Upgrade`. `x-piko-refused` and
    /// `x-piko-loops` are removed: they are a node's or an agent's own words, never a service's.
    public func write(_ rewrite: ResponseRewrite, to writer: HeadWriter) {
        precondition(!rewrite.removesChunks || rewrite.connection == .close, "ResponseRewrite: removesChunks needs close")
        writer.reserve(memory.count + 128)
        writer.append("HTTP/1.1 ")
        writer.append(number: UInt64(traits.status))
        writer.append(byte: ByteClass.space)
        writer.append(reason)
        writer.endLine()
        writeFields(rewrite, to: writer)
        LoopList.append(rewrite.loops, to: writer)
        var line = ConnectionLine(writer)
        if keepsUpgrade { line.name("Upgrade") }
        line.finish(rewrite.connection)
        writer.endLine()
    }

    private var keepsUpgrade: Bool { traits.status == 101 || traits.status == 426 }

    /// Copies runs of lines that stay, as they are.
    private func writeFields(_ rewrite: ResponseRewrite, to writer: HeadWriter) {
        var run = memory.fieldsStart
        for index in 0..<memory.fieldCount {
            let field = memory.fields[index]
            if field.known == .other && !field.isNominated { continue }
            if stays(field, rewrite) { continue }
            writer.append(memory.bytes + run, Int(field.name) &- run)
            run = memory.lineEnd(index)
        }
        writer.append(memory.bytes + run, memory.fieldsEnd &- run)
    }

    private func stays(_ field: HeadField, _ rewrite: ResponseRewrite) -> Bool {
        switch field.known {
        case .upgrade: return keepsUpgrade
        case .transferEncoding, .trailer: return !rewrite.removesChunks
        case .xPikoRefused, .xPikoLoops: return false
        default: return !field.known.isHopByHop && !field.isNominated
        }
    }
}
