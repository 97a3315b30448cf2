// SPDX-License-Identifier: MIT
// Replaces $VAR, ${VAR} and ${VAR:default} in the text of a configuration file.
// Pure: the variables are given.

public enum EnvironmentExpansion {
    /// Stands where a variable had no value, until the text was parsed: a text that somebody left empty is another thing. Of the private use area.
    public static let gap: Unicode.Scalar = "\u{F8FE}"

    /// An undefined or empty variable is its default, or a `gap`. A "$" that no name follows stays. What is put in is not
    /// looked at again.
    public static func expand(_ text: String, _ variable: (String) -> String?) -> String {
        var result = ""
        var rest = Substring(text)
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            rest = rest[dollar...].dropFirst()
            result += replacement(&rest, variable) ?? "$"
        }
        return result + rest
    }

    /// Takes a reference that follows a "$"; nil, and takes nothing, where there is none.
    private static func replacement(_ rest: inout Substring, _ variable: (String) -> String?) -> String? {
        if rest.first == "{", let end = rest.firstIndex(of: "}") {
            let inner = rest[..<end].dropFirst()
            guard !inner.isEmpty, !inner.contains("\n") else { return nil }
            rest = rest[end...].dropFirst()
            return value(of: inner, variable)
        }
        let name = rest.prefix { $0 == "_" || ($0.isASCII && ($0.isLetter || $0.isNumber)) }
        guard let first = name.first, !first.isNumber else { return nil }
        rest = rest.dropFirst(name.count)
        return value(of: name, variable)
    }

    private static func value(of reference: Substring, _ variable: (String) -> String?) -> String {
        let parts = reference.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let found = variable(String(parts[0])) ?? ""
        if !found.isEmpty { return found }
        return parts.count == 2 ? String(parts[1]) : String(Character(gap))
    }
}
