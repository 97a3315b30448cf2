// SPDX-License-Identifier: MIT
// The text of an error body, `{"error": "..."}`.
// Pure; safe on arbitrary bytes.

import FoundationEssentials

/// Reads the JSON error bodies of server nodes.
enum ErrorText {
    private struct Body: Decodable { var error: String }

    /// The text with control characters replaced, at most 200 characters; empty when there is none.
    static func read(_ body: some Sequence<UInt8>) -> String {
        guard let error = try? JSONDecoder().decode(Body.self, from: Data(body)).error else { return "" }
        let printable = error.unicodeScalars.prefix(200).map { $0.value < 0x20 || $0.value == 0x7F ? "?" : Character($0) }
        return String(printable)
    }
}
