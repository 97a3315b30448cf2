// SPDX-License-Identifier: MIT
// The server's half of a WebSocket opening handshake (RFC 6455 4.2). Works on a parsed head and its connection, on their loop.
// The frames that follow are the engine's.

import PikoCore
import PikoEngine

/// Checks and answers upgrade requests.
enum WebSocketUpgrade {
    /// GET, Upgrade: websocket, Connection: Upgrade, version 13 and a key of 24 characters.
    static func isRequested(by head: RequestHead) -> Bool {
        guard head.traits.method == .get, head.traits.isUpgrade, head.traits.framing == .empty else { return false }
        guard let protocolName = head.fields.value(of: .upgrade), names(protocolName, "websocket") else { return false }
        guard head.fields.value(of: .secWebSocketVersion).map({ $0.elementsEqual("13".utf8) }) == true else { return false }
        return head.fields.value(of: .secWebSocketKey).map { $0.count == 24 } ?? false
    }

    /// The key of a checked request.
    static func key(of head: RequestHead) -> String {
        head.fields.value(of: .secWebSocketKey).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// The whole 101.
    /// - Parameters:
    ///   - halfClose: we agree that an empty binary message ends one direction.
    ///   - node: this node's name, for agents of ours.
    ///   - nodes: how many active nodes it knows, itself included; nil where nobody wants to know.
    static func answer(to key: String, halfClose: Bool, node: String, nodes: Int? = nil) -> String {
        """
        HTTP/1.1 101 Switching Protocols\r
        Upgrade: websocket\r
        Connection: Upgrade\r
        Sec-WebSocket-Accept: \(WebSocketHandshake.accept(for: key) ?? "")\r
        x-piko-node: \(node)\r
        \(nodes.map { "x-piko-nodes: \($0)\r\n" } ?? "")\(halfClose ? "x-piko-half-close: 1\r\n" : "")\r

        """
    }

    private static func names(_ value: UnsafeRawBufferPointer, _ word: String) -> Bool {
        value.count == word.utf8.count && zip(value, word.utf8).allSatisfy { $0 | 0x20 == $1 }
    }
}

extension Connection {
    /// Writes the refusal of an agent that has a tunnel here already; the caller ends the connection.
    func writeAlreadyConnected(node: String, nodes: Int) {
        let body = "{\"error\":\"already connected\"}"
        write(
            "HTTP/1.1 409 Conflict\r\ndate: \(TimeOfDay.date)\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\n"
                + "content-length: \(body.utf8.count)\r\nx-piko-node: \(node)\r\nx-piko-nodes: \(nodes)\r\nconnection: close\r\n\r\n\(body)")
    }

    /// Writes a whole JSON error that announces the end of the connection; the caller ends it.
    func write(answering status: UInt16, text: StaticString, isRefusal: Bool = false) {
        let writer = HeadWriter()
        ErrorResponse.append(
            status: status, text: text, date: Array(TimeOfDay.date.utf8), connection: .close, isRefusal: isRefusal, to: writer)
        write(writer.bytes)
    }
}
