// SPDX-License-Identifier: MIT
// Reads a token from its file, on every dial: tokens are rotated by whoever writes the file.
// A short blocking read on the thread that dials; nothing is remembered.

import FoundationEssentials

/// A file that holds one token.
public enum TokenFile {
    /// Bytes.
    private static let longest = 16 * 1024

    /// The token without the blanks and line ends around it.
    /// - Parameters:
    ///   - path: empty: there is no file, and `otherwise` is the token.
    ///   - key: what errors call the file.
    /// - Throws: `DialFailure.token` when there is no such file, or no token in it.
    public static func read(_ path: String, otherwise token: String, key: String = "connect.token_file") throws(DialFailure) -> String {
        if path.isEmpty { return token }
        guard let data = try? Data(contentsOf: URL(filePath: path)) else { throw .token("\(key): expected a file that can be read, got \"\(path)\"") }
        let text = data.trimmingBlanks
        guard !text.isEmpty, text.count <= longest, text.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw .token("\(key): expected a token of visible ASCII characters in \"\(path)\"")
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension Data {
    fileprivate var trimmingBlanks: Data {
        guard let first = firstIndex(where: { $0 > 0x20 }), let last = lastIndex(where: { $0 > 0x20 }) else { return Data() }
        return self[first...last]
    }
}
