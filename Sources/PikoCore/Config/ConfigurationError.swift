// SPDX-License-Identifier: MIT
// A user's mistake in a flag or a configuration file.
// A plain value.

/// One line that names the key and what was expected.
public struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    public var message: String
    /// The line of the file, from 1; nil for a flag, or when it is not known.
    public var line: Int?

    public init(_ message: String, line: Int? = nil) {
        self.message = message
        self.line = line
    }

    public var description: String { message }

    /// A value that was not what the key takes. The value is shown, shortened, on one line
    /// and without a URL's secrets.
    static func expected(_ expected: String, at name: String, got value: String, line: Int? = nil) -> Self {
        Self("\(name): expected \(expected), got \(quoted(value))", line: line)
    }

    static func quoted(_ value: String) -> String {
        let value = ShownText.masked(value)
        var text = "\""
        for scalar in value.unicodeScalars.prefix(60) {
            let isPlain = scalar.value >= 0x20 && !(0x7F...0x9F).contains(scalar.value)
            text.unicodeScalars.append(isPlain ? scalar : "?")
        }
        return text + (value.unicodeScalars.count > 60 ? "…\"" : "\"")
    }
}
