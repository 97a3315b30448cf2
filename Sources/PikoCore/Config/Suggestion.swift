// SPDX-License-Identifier: MIT
// The name that a user probably meant.
// Pure.

enum Suggestion {
    /// The candidate with the fewest changes, where that is few enough to be meant, or that it is the beginning of;
    /// the first by name among equals.
    static func closest(to text: String, among candidates: some Sequence<String>) -> String? {
        let limit = max(1, min(6, text.utf8.count / 4))
        let near = candidates.map { ($0.hasPrefix(text + "_") ? 0 : changes(text, $0), $0) }.filter { $0.0 <= limit }
        return near.min { $0 < $1 }?.1
    }

    /// How many characters to add, remove or replace (Levenshtein).
    static func changes(_ one: String, _ other: String) -> Int {
        let (one, other) = (Array(one.utf8), Array(other.utf8))
        var row = Array(0...other.count)
        for (index, byte) in one.enumerated() {
            var corner = row[0]
            row[0] = index + 1
            for column in 0..<other.count {
                let replaced = corner + (byte == other[column] ? 0 : 1)
                corner = row[column + 1]
                row[column + 1] = min(replaced, row[column] + 1, corner + 1)
            }
        }
        return row[other.count]
    }
}
