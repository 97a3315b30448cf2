// SPDX-License-Identifier: MIT
// The help of a table of keys: each flag with its type, default and meaning, in lines of at most 78 columns.
// Pure.

public enum FlagHelp {
    /// All flags in the table's order; `root` has the defaults.
    public static func text<Root>(_ keys: [ConfigurationKey<Root>], defaults root: Root) -> String {
        keys.filter(\.isValue).map { entry($0, default: $0.written(root)) }.joined(separator: "\n")
    }

    private static func entry<Root>(_ key: ConfigurationKey<Root>, default value: String) -> String {
        let head = key.placeholder.isEmpty ? "  \(key.flag)" : "  \(key.flag) \(key.placeholder)"
        var notes = ""
        if !value.isEmpty { notes += "  (default: \(value))" }
        let first = head.count + notes.count <= 78 ? [head + notes] : [head, "      \(notes)"]
        return (first + wrapped(key.help, width: 70).map { "        \($0)" }).joined(separator: "\n")
    }

    /// Breaks a text at blanks.
    static func wrapped(_ text: String, width: Int) -> [String] {
        var lines: [String] = []
        for word in text.split(separator: " ") {
            if let last = lines.last, last.count + 1 + word.count <= width {
                lines[lines.count - 1] = "\(last) \(word)"
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }
}
