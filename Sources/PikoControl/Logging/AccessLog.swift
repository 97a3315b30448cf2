// SPDX-License-Identifier: MIT
// The access log: one line for each request, written when it is over. What is borrowed from the head is put into the line while
// it is valid, so that an entry is the unfinished line and nothing else is kept.
// One AccessLog for each loop, used on that loop only. An entry may be ended by the AccessLog of another loop.

import PikoCore

/// The bytes of a request head that a line shows. Borrowed for the call.
public struct AccessRequest {
    public var method: UnsafeRawBufferPointer
    /// The request target; only what is before a "?" is shown, since queries carry secrets.
    public var target: UnsafeRawBufferPointer
    public var host: UnsafeRawBufferPointer
    /// May be empty: not known.
    public var endpoint: UnsafeRawBufferPointer
    /// The x of HTTP/1.x.
    public var minorVersion: Int

    public init(
        method: UnsafeRawBufferPointer, target: UnsafeRawBufferPointer, host: UnsafeRawBufferPointer,
        endpoint: UnsafeRawBufferPointer, minorVersion: Int
    ) {
        self.method = method
        self.target = target
        self.host = host
        self.endpoint = endpoint
        self.minorVersion = minorVersion
    }
}

/// How a request ended.
public struct AccessOutcome {
    /// The status sent to the client; 0: none was.
    public var status: Int
    public var nanoseconds: UInt64
    /// Bytes of body.
    public var requestBytes: UInt64
    public var responseBytes: UInt64
    /// The node it was forwarded to; nil: none.
    public var node: String?
    /// Why it ended early, such as "client closed"; nil when it did not.
    public var error: StaticString?

    public init(
        status: Int, nanoseconds: UInt64, requestBytes: UInt64, responseBytes: UInt64, node: String? = nil,
        error: StaticString? = nil
    ) {
        self.status = status
        self.nanoseconds = nanoseconds
        self.requestBytes = requestBytes
        self.responseBytes = responseBytes
        self.node = node
        self.error = error
    }
}

/// Writes the lines of one loop.
public final class AccessLog {
    /// Shows one header field. The bytes are borrowed until the end of the call that asked for the fields.
    public typealias Visit = (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void

    private let log: Log
    private var level: LogLevel
    private var isDisabled: Bool
    private var requestFilter: HeaderFilter
    private var responseFilter: HeaderFilter
    private let scratch: UnsafeMutableRawBufferPointer
    /// Room for the fields of one head while it is shown.
    private let fields: UnsafeMutablePointer<Field>
    private var idle: [AccessLogEntry] = []

    private struct Field {
        var name: UnsafeRawBufferPointer
        var value: UnsafeRawBufferPointer
        var isRedacted: Bool
        var isDone = false
    }

    /// Room in front of the fields for level, time, subsystem and message, which are known last.
    private static let prefixRoom = 192
    /// Kept from the head's fields for what is known at the end.
    private static let outcomeRoom = 256
    private static let fieldLimit = 64
    private static let idleLimit = 256
    private static let redacted: StaticString = "[redacted]"

    /// `log` is the proxy's own; lines have its subsystem with ".access".
    public init(log: Log, configuration: AccessLogConfiguration) {
        precondition(log.subsystem.utf8.count <= 64, "a subsystem's name is at most 64 bytes")
        self.log = log.named(log.subsystem + ".access")
        level = configuration.level
        isDisabled = configuration.disable
        requestFilter = HeaderFilter(configuration.requestHeaders)
        responseFilter = HeaderFilter(configuration.responseHeaders)
        scratch = .allocate(byteCount: LogSink.lineLimit, alignment: 16)
        fields = .allocate(capacity: Self.fieldLimit)
    }

    deinit {
        scratch.deallocate()
        fields.deallocate()
    }

    /// What has not begun yet is logged as this says.
    public func configure(_ configuration: AccessLogConfiguration) {
        level = configuration.level
        isDisabled = configuration.disable
        requestFilter = HeaderFilter(configuration.requestHeaders)
        responseFilter = HeaderFilter(configuration.responseHeaders)
    }

    /// Starts the line of a request whose head is there. nil: no line is wanted. `visitFields` calls its argument for each
    /// header field of the request, in order.
    public func begin(_ request: AccessRequest, visitFields: (Visit) -> Void) -> AccessLogEntry? {
        guard !isDisabled, log.isEnabled(max(level, .warn)) else { return nil }
        var line = open(resumingAt: Self.prefixRoom, wasCut: false)
        if !request.endpoint.isEmpty { line.add("endpoint_id", bytes: request.endpoint, most: 256) }
        guard line.beginObject("request") else { return nil }
        line.add("proto", request.minorVersion == 0 ? "HTTP/1.0" : "HTTP/1.1")
        line.add("method", bytes: request.method, most: 64)
        line.add("host", bytes: request.host, most: 256)
        let path = request.target.prefix { $0 != UInt8(ascii: "?") }
        line.add("path", bytes: UnsafeRawBufferPointer(rebasing: path), most: 1024)
        add("request_headers", to: &line, requestFilter, visitFields)
        let entry = idle.popLast() ?? AccessLogEntry()
        keep(line, in: entry)
        return entry
    }

    /// Adds the fields of the final response head. At most once for an entry.
    public func respond(_ entry: AccessLogEntry, visitFields: (Visit) -> Void) {
        var line = take(entry, keeping: Self.outcomeRoom)
        add("response_headers", to: &line, responseFilter, visitFields)
        keep(line, in: entry)
    }

    /// Writes the line. The entry is dead afterwards.
    public func end(_ entry: AccessLogEntry, _ outcome: AccessOutcome) {
        var line = take(entry, keeping: 0)
        line.add("status", outcome.status)
        line.add("duration", nanoseconds: outcome.nanoseconds)
        line.add("request_size", outcome.requestBytes)
        line.add("response_size", outcome.responseBytes)
        if let node = outcome.node { line.add("node_id", node) }
        if let error = outcome.error { line.add("error", bytes: Self.bytes(of: error)) }
        line.endObject()
        line.end()
        write(line, at: outcome.status >= 500 ? max(level, .warn) : level)
        if idle.count < Self.idleLimit { idle.append(entry) }
    }

    private func write(_ line: LogLine, at level: LogLevel) {
        guard log.isEnabled(level) else { return }
        withUnsafeTemporaryAllocation(byteCount: 512, alignment: 1) { memory in
            var prefix = LogLine(memory: memory)
            prefix.begin(level: level, time: .now(), subsystem: log.subsystem, message: "request")
            let start = Self.prefixRoom - prefix.count
            scratch.baseAddress!.advanced(by: start).copyMemory(from: memory.baseAddress!, byteCount: prefix.count)
            log.sink.write(UnsafeRawBufferPointer(rebasing: scratch[start..<line.count]))
        }
    }

    // MARK: Header fields

    private func add(
        _ key: StaticString, to line: inout LogLine, _ filter: HeaderFilter, _ visitFields: (Visit) -> Void
    ) {
        let count = gather(filter, visitFields)
        guard line.beginObject(key) else { return }
        for index in 0..<count where !fields[index].isDone { list(from: index, to: count, in: &line) }
        line.endObject()
    }

    private func gather(_ filter: HeaderFilter, _ visitFields: (Visit) -> Void) -> Int {
        let fields = self.fields
        var count = 0
        visitFields { name, value in
            guard count < Self.fieldLimit else { return }
            let verdict = filter.verdict(on: name)
            guard verdict != .hide else { return }
            fields[count] = Field(name: name, value: value, isRedacted: verdict == .redact)
            count += 1
        }
        return count
    }

    /// All values of one name, since a key may be in an object once.
    private func list(from first: Int, to end: Int, in line: inout LogLine) {
        let fields = self.fields
        let name = fields[first].name
        guard line.beginList(fieldName: name) else { return }
        for index in first..<end where fields[index].name.equalsName(name) {
            fields[index].isDone = true
            line.element(bytes: fields[index].isRedacted ? Self.bytes(of: Self.redacted) : fields[index].value)
        }
        line.endList()
    }

    // MARK: Entries

    private func open(resumingAt count: Int, wasCut: Bool, keeping room: Int = outcomeRoom) -> LogLine {
        LogLine(memory: scratch, resumingAt: count, wasCut: wasCut, keeping: room)
    }

    private func take(_ entry: AccessLogEntry, keeping room: Int) -> LogLine {
        scratch.baseAddress!.advanced(by: Self.prefixRoom).copyMemory(from: entry.bytes.baseAddress!, byteCount: entry.count)
        return open(resumingAt: Self.prefixRoom + entry.count, wasCut: entry.wasCut, keeping: room)
    }

    private func keep(_ line: LogLine, in entry: AccessLogEntry) {
        entry.store(UnsafeRawBufferPointer(rebasing: scratch[Self.prefixRoom..<line.count]), wasCut: line.wasCut)
    }

    private static func bytes(of text: StaticString) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }
}

/// The unfinished line of one request. Its holder ends it exactly once, or drops it to write nothing.
public final class AccessLogEntry {
    fileprivate private(set) var bytes: UnsafeMutableRawBufferPointer
    fileprivate private(set) var count = 0
    fileprivate private(set) var wasCut = false

    fileprivate init() { bytes = .allocate(byteCount: 512, alignment: 16) }

    deinit { bytes.deallocate() }

    fileprivate func store(_ line: UnsafeRawBufferPointer, wasCut: Bool) {
        if line.count > bytes.count {
            bytes.deallocate()
            bytes = .allocate(byteCount: line.count + line.count / 2, alignment: 16)
        }
        bytes.copyMemory(from: line)
        count = line.count
        self.wasCut = wasCut
    }
}
