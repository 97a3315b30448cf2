// SPDX-License-Identifier: MIT
// Writes a parsed request head for the next hop (design.md, "What reaches the service"): lines byte for byte and in order,
// without what was meant for this hop, with what a node adds. Pure but for the writer it appends to; loop-confined like the
// head; no allocation.

/// What Connection says in a head that is written, besides what an upgrade needs.
public enum ConnectionOption: Sendable {
    /// Nothing: the receiver speaks HTTP/1.1 and goes on by default.
    case implied
    /// `keep-alive`: for a receiver of HTTP/1.0 that asked for it.
    case keepAlive
    /// `close`.
    case close
}

/// The scheme the client used, for X-Forwarded-Proto.
public enum ForwardedProto: Sendable { case http, https }

/// What to do to a request head on its way. The defaults add and remove nothing but what belongs to the hop itself.
public struct RequestRewrite {
    /// The client's address as text, without port or brackets, to be appended to X-Forwarded-For; empty: nothing is appended.
    /// Must stay valid during `write`.
    public var clientAddress = UnsafeRawBufferPointer(start: nil, count: 0)
    /// X-Forwarded-Proto where the request has none; nil: none is added.
    public var proto: ForwardedProto?
    /// Adds X-Forwarded-Host with the request's Host where the request has none.
    public var addsForwardedHost = false
    /// Adds `x-piko-forward: true`. What the request had of it is always removed.
    public var marksForward = false
    /// Removes every Authorization: one of them was the token that Piko consumed. x-piko-authorization is always removed.
    public var removesAuthorization = false
    public var connection = ConnectionOption.implied
    /// Stands in front of the path: empty, or with a leading slash and without a trailing one. Must stay valid during `write`.
    public var pathPrefix = UnsafeRawBufferPointer(start: nil, count: 0)

    public init() {}
}

extension RequestHead {
    /// Appends the head for the next hop to `writer`, its empty line included. Only after a `parse` that returned nil.
    ///
    /// - The version is HTTP/1.1 (RFC 9110 2.5: an intermediary sends its own). An HTTP/1.0 request without Host gets one: the
    ///   authority of its target, else the endpoint where that is a host name, else `localhost`; its Expect is removed.
    /// - An absolute target becomes origin form (RFC 9112 3.2.1), its path byte for byte.
    /// - Removed: hop-by-hop fields and what Connection nominates of fields without a meaning here. An upgrade is kept, in one
    ///   `Connection: Upgrade` behind the fields, Upgrade itself byte for byte; so is `TE: trailers`, with its nomination.
    /// - `x-piko-node` is removed: who forwards the request writes its own.
    /// - X-Forwarded-For becomes one line in the place of the first: all values in order, then the client's address.
    /// - Returns: how much of the writer comes before the Connection line, the last of the head: what any next hop gets alike.
    @discardableResult
    public func write(_ rewrite: RequestRewrite, to writer: HeadWriter) -> Int {
        writer.reserve(memory.count + rewrite.clientAddress.count + rewrite.pathPrefix.count + 512)
        writeLine(behind: rewrite.pathPrefix, to: writer)
        let seen = writeFields(rewrite, to: writer)
        writeAdded(rewrite, seen, to: writer)
        let common = writer.count
        writeConnection(rewrite.connection, seen, to: writer)
        writer.endLine()
        return common
    }

    private func writeLine(behind prefix: UnsafeRawBufferPointer, to writer: HeadWriter) {
        writer.append(method)
        writer.append(byte: ByteClass.space)
        let path = pathAndQuery
        if path.isEmpty && traits.method == .options {
            writer.append("*")
        } else {
            if path.first != UInt8(ascii: "*") { writer.append(prefix) }
            if path.isEmpty || path[0] == UInt8(ascii: "?") { writer.append(byte: ByteClass.slash) }
            writer.append(path)
        }
        writer.append(" HTTP/1.1\r\n")
        if facts.hostCount == 0 { writeMissingHost(to: writer) }
    }

    private func writeMissingHost(to writer: HeadWriter) {
        if let host { return writer.field("Host", host) }
        if let endpoint, HostValue(endpoint) != nil { return writer.field("Host", endpoint) }
        writer.field("Host", "localhost")
    }

    /// What was met among the fields, for what is added behind them.
    private struct Seen {
        var forwardedFor = false
        var forwardedProto = false
        var forwardedHost = false
        var settings = false
    }

    /// Copies runs of lines that stay, as they are.
    private func writeFields(_ rewrite: RequestRewrite, to writer: HeadWriter) -> Seen {
        var seen = Seen()
        var run = memory.fieldsStart
        for index in 0..<memory.fieldCount {
            let field = memory.fields[index]
            if field.known == .other && !field.isNominated { continue }
            if stays(field, rewrite, &seen) { continue }
            writer.append(memory.bytes + run, Int(field.name) &- run)
            run = memory.lineEnd(index)
            if field.known == .xForwardedFor && !seen.forwardedFor {
                seen.forwardedFor = true
                writeForwardedFor(from: index, rewrite, to: writer)
            }
        }
        writer.append(memory.bytes + run, memory.fieldsEnd &- run)
        return seen
    }

    /// Whether a line is passed on byte for byte.
    private func stays(_ field: HeadField, _ rewrite: RequestRewrite, _ seen: inout Seen) -> Bool {
        switch field.known {
        case .upgrade: return traits.isUpgrade
        case .http2Settings:
            seen.settings = traits.isUpgrade && field.isNominated
            return seen.settings || !field.isNominated
        case .xForwardedFor: return rewrite.clientAddress.isEmpty
        case .xForwardedProto: seen.forwardedProto = true
        case .xForwardedHost: seen.forwardedHost = true
        case .xPikoForward, .xPikoAuthorization, .xPikoNode: return false
        case .authorization: return !rewrite.removesAuthorization
        case .expect: return traits.version == .http11
        default: return !field.known.isHopByHop && !field.isNominated
        }
        return true
    }

    /// One line with the values of all X-Forwarded-For lines from `first` on, and the client's address.
    private func writeForwardedFor(from first: Int, _ rewrite: RequestRewrite, to writer: HeadWriter) {
        let field = memory.fields[first]
        writer.append(memory.bytes + Int(field.name), Int(field.nameCount))
        writer.append(": ")
        for index in first..<memory.fieldCount where memory.fields[index].known == .xForwardedFor {
            let value = memory.value(at: index)
            if value.isEmpty { continue }
            writer.append(value)
            writer.append(", ")
        }
        writer.append(rewrite.clientAddress)
        writer.endLine()
    }

    private func writeAdded(_ rewrite: RequestRewrite, _ seen: Seen, to writer: HeadWriter) {
        if !rewrite.clientAddress.isEmpty && !seen.forwardedFor { writer.field("X-Forwarded-For", rewrite.clientAddress) }
        if let proto = rewrite.proto, !seen.forwardedProto {
            writer.append(proto == .https ? "X-Forwarded-Proto: https\r\n" : "X-Forwarded-Proto: http\r\n")
        }
        if rewrite.addsForwardedHost, !seen.forwardedHost, let host { writer.field("X-Forwarded-Host", host) }
        if rewrite.marksForward { writer.append("x-piko-forward: true\r\n") }
        if traits.acceptsTrailers { writer.append("TE: trailers\r\n") }
    }

    private func writeConnection(_ option: ConnectionOption, _ seen: Seen, to writer: HeadWriter) {
        var line = ConnectionLine(writer)
        if traits.isUpgrade { line.name("Upgrade") }
        if seen.settings { line.name("HTTP2-Settings") }
        if traits.acceptsTrailers { line.name("TE") }
        line.finish(option)
    }
}

/// A Connection line that comes about name by name; nothing is written while it names nothing.
struct ConnectionLine {
    private let writer: HeadWriter
    private var isOpen = false

    init(_ writer: HeadWriter) { self.writer = writer }

    mutating func name(_ option: StaticString) {
        writer.append(isOpen ? ", " : "Connection: ")
        writer.append(option)
        isOpen = true
    }

    mutating func finish(_ option: ConnectionOption) {
        switch option {
        case .implied: break
        case .keepAlive: name("keep-alive")
        case .close: name("close")
        }
        if isOpen { writer.endLine() }
    }
}
