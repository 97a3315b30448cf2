// SPDX-License-Identifier: MIT
// A user's text as errors and logs show it: without what a URL may carry of secrets, be it well written or not.
// Pure.

/// Texts fit to be shown.
public enum ShownText {
    /// What is shown instead of a secret.
    static let mask = "[redacted]"

    /// The text without a URL's user, password, query and fragment (RFC 3986 3). A password that was not encoded may hold any of "/?#@", so what
    /// stands before the last "@" goes as a whole.
    public static func masked(_ text: String) -> String {
        let scheme = text.firstRange(of: "://")
        let begin = scheme?.upperBound ?? text.startIndex
        var rest = text[begin...]
        var shown = String(text[..<begin])
        if let at = rest.lastIndex(of: "@"), scheme != nil || rest[..<at].contains(":") {
            shown += mask
            rest = rest[at...]
        }
        guard let query = rest.firstIndex(where: { $0 == "?" || $0 == "#" }), scheme != nil || rest[query...].contains("=") else {
            return shown + rest
        }
        return shown + rest[...query] + mask
    }
}
