// SPDX-License-Identifier: MIT
// A log whose lines a test can read.
// Any thread.

import Foundation
import PikoCore
import Synchronization
import Testing
@testable import PikoControl

/// Keeps the lines of a sink; refuses them while `isFull`.
final class LoggingCapture: Sendable {
    private let state = Mutex<(lines: [String], isFull: Bool)>(([], false))

    var lines: [String] { state.withLock { $0.lines } }

    func fill(_ isFull: Bool) { state.withLock { $0.isFull = isFull } }

    func sink(_ configuration: LogConfiguration = LogConfiguration()) -> LogSink {
        LogSink(configuration: configuration) { bytes in
            self.state.withLock { state in
                if state.isFull { return false }
                state.lines.append(String(decoding: bytes, as: UTF8.self))
                return true
            }
        }
    }

    /// The lines, parsed by a JSON parser that is not ours.
    func objects() throws -> [[String: Any]] {
        try lines.map { line in
            let parsed = try JSONSerialization.jsonObject(with: Data(line.utf8))
            return try #require(parsed as? [String: Any])
        }
    }
}

/// Calls `body` with the bytes of a text.
func withBytes<Result>(_ text: String, _ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try Array(text.utf8).withUnsafeBytes(body)
}
