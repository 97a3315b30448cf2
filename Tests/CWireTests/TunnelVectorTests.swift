// SPDX-License-Identifier: MIT
// The bytes that the original's processes really sent (Tests/vectors/tunnel.json): head, WebSocket frames, mask and yamux
// frames are read, hold what is known to be in them, and come out the same when written again.
// Reads one file; no sockets; runs on the test's thread.

import CWire
import Foundation
import Testing

private struct Vectors: Decodable {
    struct Event: Decodable {
        var from: String
        var hex: String?
    }
    var conversations: [String: [Event]]
}

/// One direction of a conversation, taken apart.
private struct Direction: Equatable {
    var lines: [String] = []
    var frames: [WSHeader] = []
    var stream = Bytes()

    init(_ bytes: Bytes) {
        var scan = cw_head_scan()
        let end = Int(cw_head_scan_next(&scan, bytes, bytes.count))
        guard end > 0 else { return }
        lines = String(decoding: bytes[..<end], as: UTF8.self).components(separatedBy: "\r\n")
        var rest = bytes[end...]
        while !rest.isEmpty, let frame = Self.takeFrame(&rest) {
            frames.append(frame.0)
            stream += frame.1
        }
    }

    /// Nil, with an issue, where the bytes are no frame. Checks on the way: every prefix of the header needs more, and
    /// header and payload written again are the bytes that were there.
    private static func takeFrame(_ bytes: inout ArraySlice<UInt8>) -> (WSHeader, Bytes)? {
        let (size, header) = readWS(bytes)
        guard size > 0, bytes.count >= size + Int(header.length) else {
            Issue.record("no frame in \(Bytes(bytes))")
            return nil
        }
        for count in 0..<size { #expect(readWS(bytes.prefix(count)).result == 0) }
        let recorded = bytes.prefix(size + Int(header.length)), mask = header.mask ?? [0, 0, 0, 0]
        var payload = Bytes(recorded.dropFirst(size)), again = payload
        cw_ws_mask(&payload, payload.count, mask, 0)
        cw_ws_mask_copy(&again, payload, payload.count, mask, 0)
        #expect(header.written + again == Bytes(recorded))
        bytes = bytes.dropFirst(recorded.count)
        return (header, payload)
    }

    /// The yamux frames of the stream with the bodies of data frames as text.
    func yamux() -> [Frame] {
        var frames: [Frame] = [], rest = stream[...]
        while !rest.isEmpty {
            let (size, header) = readYamux(rest)
            guard size == CW_YAMUX_HEADER_SIZE else { break }
            #expect(header.written == Bytes(rest.prefix(size)))
            let body = header.type == CW_YAMUX_DATA ? Int(header.length) : 0
            frames.append(Frame(header, String(decoding: rest.dropFirst(size).prefix(body), as: UTF8.self)))
            rest = rest.dropFirst(size + body)
        }
        #expect(rest.isEmpty)
        return frames
    }
}

private struct Frame: Equatable {
    var header: YamuxHeader
    var body: String

    init(_ header: YamuxHeader, _ body: String = "") {
        (self.header, self.body) = (header, body)
    }
}

@Suite struct TunnelVectorTests {
    private func direction(_ conversation: String, from side: String) throws -> Direction {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let data = try Data(contentsOf: tests.appendingPathComponent("vectors/tunnel.json"))
        let events = try #require(try JSONDecoder().decode(Vectors.self, from: data).conversations[conversation])
        return Direction(events.filter { $0.from == side }.flatMap { hex($0.hex ?? "") })
    }

    @Test("vectors: the original agent's stream is an accepted stream, its bytes, a FIN and a go away")
    func agentTCP() throws {
        let agent = try direction("agent-tcp", from: "client"), server = try direction("agent-tcp", from: "server")
        #expect(agent.lines.first == "GET /piko/v1/upstream/db HTTP/1.1")
        #expect(server.lines.first == "HTTP/1.1 101 Switching Protocols")
        #expect(agent.frames.map(\.length) == [12, 12, 5, 12, 12])
        #expect(agent.frames.allSatisfy { $0.opcode == CW_WS_BINARY && $0.fin && $0.mask != nil })
        #expect(server.frames.allSatisfy { $0.opcode == CW_WS_BINARY && $0.fin && $0.mask == nil })
        #expect(agent.yamux() == [
            Frame(YamuxHeader(CW_YAMUX_WINDOW, CW_YAMUX_ACK, 2, 0)),
            Frame(YamuxHeader(CW_YAMUX_DATA, 0, 2, 5), "PONG\n"),
            Frame(YamuxHeader(CW_YAMUX_WINDOW, CW_YAMUX_FIN, 2, 0)),
            Frame(YamuxHeader(CW_YAMUX_GO_AWAY, 0, 0, 0)),
        ])
        #expect(server.yamux() == [
            Frame(YamuxHeader(CW_YAMUX_WINDOW, CW_YAMUX_SYN, 2, 0)),
            Frame(YamuxHeader(CW_YAMUX_DATA, 0, 2, 5), "PING\n"),
            Frame(YamuxHeader(CW_YAMUX_WINDOW, CW_YAMUX_FIN, 2, 0)),
        ])
    }

    @Test("vectors: a request and its response go through the original's tunnel as HTTP/1.1")
    func agentHTTP() throws {
        let agent = try direction("agent-http", from: "client").yamux()
        let server = try direction("agent-http", from: "server").yamux()
        #expect(server.map(\.header.type) == [CW_YAMUX_WINDOW, CW_YAMUX_DATA, CW_YAMUX_DATA, CW_YAMUX_WINDOW])
        #expect(agent.map(\.header.type) == [CW_YAMUX_WINDOW, CW_YAMUX_DATA, CW_YAMUX_WINDOW, CW_YAMUX_GO_AWAY])
        try #require(server.count == 4 && agent.count == 4)
        #expect(headLength(server[1].body) == 199 && server[2].body == "hello")
        #expect(headLength(agent[1].body) == 144 && agent[1].body.hasSuffix("\r\n\r\nhi\n"))
    }

    @Test("vectors: the original's forward carries the connection's bytes without yamux")
    func forward() throws {
        let client = try direction("forward", from: "client"), server = try direction("forward", from: "server")
        #expect(client.lines.first == "GET /_piko/v1/tcp/db HTTP/1.1")
        #expect(client.stream == ascii("PING\n") && client.frames.first?.mask != nil)
        #expect(server.stream == ascii("PONG\n") && server.frames.first?.mask == nil)
    }

    private func headLength(_ text: String) -> Int {
        var scan = cw_head_scan()
        return Int(cw_head_scan_next(&scan, ascii(text), text.utf8.count))
    }
}
