// SPDX-License-Identifier: MIT
// The answers a node gives by itself: JSON error bodies (protocol.md, "Choosing the endpoint").
// Appends a whole response to a writer; sends nothing, keeps nothing; any thread.

/// A response of Piko's own, whole: head and body.
public enum ErrorResponse {
    /// Appends `{"error": "text"}` with its head.
    /// - Parameters:
    ///   - status: 100 to 999; the reason phrase is looked up.
    ///   - date: the Date field's value (HTTPDate); empty: none.
    ///   - text: plain ASCII without quotes, backslashes or control bytes.
    ///   - omitsBody: the request was HEAD: the head is the same, the body is left out.
    ///   - isRefusal: tells the node that sent the request that it was passed to nobody.
    ///   - loops: tells it on which loops of this node the endpoint has tunnels.
    /// - Returns: bytes of the body.
    @discardableResult
    public static func append(
        status: UInt16, text: StaticString, date: [UInt8] = [], connection: ConnectionOption, omitsBody: Bool = false, isRefusal: Bool = false,
        loops: [Int] = [], to writer: HeadWriter
    ) -> Int {
        let length = text.utf8CodeUnitCount + 12
        writer.append("HTTP/1.1 ")
        writer.append(number: UInt64(status))
        writer.append(byte: ByteClass.space)
        writer.append(reason(status))
        if !date.isEmpty {
            writer.append("\r\ndate: ")
            date.withUnsafeBytes { writer.append($0) }
        }
        writer.append("\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\ncontent-length: ")
        writer.append(number: UInt64(length))
        writer.endLine()
        writer.append(hint(status))
        if isRefusal { writer.append("x-piko-refused: 1\r\n") }
        LoopList.append(loops, to: writer)
        // RFC 9110 15.5.22: says to what.
        if status == 426 { writer.append("upgrade: websocket\r\n") }
        var line = ConnectionLine(writer)
        if status == 426 { line.name("Upgrade") }
        line.finish(connection)
        writer.endLine()
        if omitsBody { return 0 }
        writer.append("{\"error\":\"")
        writer.append(text)
        writer.append("\"}")
        return length
    }

    /// The line that says when to ask again, or with what; empty for other statuses.
    public static func hint(_ status: UInt16) -> StaticString {
        switch status {
        // RFC 9110 11.6.1 and RFC 6750 3.
        case 401: "www-authenticate: Bearer\r\n"
        // What a limit is about passes within a second, or nobody knows when (RFC 9110 10.2.3).
        case 429, 503: "retry-after: 1\r\n"
        default: ""
        }
    }

    /// The reason phrase of a status that Piko answers with by itself; empty for others.
    public static func reason(_ status: UInt16) -> StaticString {
        switch status {
        case 101: "Switching Protocols"
        case 200: "OK"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 413: "Content Too Large"
        case 417: "Expectation Failed"
        case 426: "Upgrade Required"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        default: serverReason(status)
        }
    }

    private static func serverReason(_ status: UInt16) -> StaticString {
        switch status {
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: ""
        }
    }
}
