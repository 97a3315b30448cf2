// SPDX-License-Identifier: MIT
// What is asked of an admin port and what it answers.
// Plain values, any thread; connections read and write them.

import PikoCore

/// A question to the admin port.
struct AdminRequest: Sendable {
    /// Segments of the path, percent-decoded.
    let path: [String]
    /// Path and query as sent.
    let target: String
    /// Of the query's field `forward`: the node that is to answer.
    let forward: String?
    /// Another node has passed it on.
    let isForwarded: Bool
    /// The fields with the asker's token, for the node that is to answer, which checks it, too.
    var credentials: [(name: String, value: String)] = []

    init(_ target: String, isForwarded: Bool = false) {
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        self.target = target
        self.isForwarded = isForwarded
        path = parts[0].split(separator: "/").map(Self.decoded)
        let fields = parts.count > 1 ? parts[1].split(separator: "&") : []
        forward = fields.first { $0 == "forward" || $0.hasPrefix("forward=") }.map { Self.decoded($0.dropFirst(8)) }
    }

    /// Whether whoever asks needs a token where the port asks for tokens: whether the node is well is everybody's to see.
    var needsToken: Bool { path != ["health"] && path != ["ready"] }

    /// As it is where it is not well encoded: then it is no name of anything.
    private static func decoded(_ text: Substring) -> String {
        PercentEncoding.decode(text.utf8).map { String(decoding: $0, as: UTF8.self) } ?? String(text)
    }
}

/// An answer of the admin port.
struct AdminAnswer: Sendable {
    var status: UInt16
    var contentType: String
    var body: String
    /// Held until the answer has left.
    var lease: ByteBudget.Lease?

    static func text(_ status: UInt16, _ body: String = "") -> AdminAnswer {
        AdminAnswer(status: status, contentType: "text/plain; charset=utf-8", body: body)
    }

    static func json(_ status: UInt16, _ body: String) -> AdminAnswer {
        AdminAnswer(status: status, contentType: "application/json; charset=utf-8", body: body)
    }

    static func json(_ value: JSONValue) -> AdminAnswer { json(200, value.text) }

    static func error(_ status: UInt16, _ text: String) -> AdminAnswer { json(status, JSONValue.object([("error", .text(text))]).text) }
}
