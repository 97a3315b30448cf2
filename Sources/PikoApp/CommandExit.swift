// SPDX-License-Identifier: MIT
// How a command says that it is over: with an exit code, with a text for standard output, or with one line on standard error.
// Main thread.

import ArgumentParser
import PikoCore

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Thrown by a command that ends by itself.
enum CommandExit: Error {
    /// Nothing more to say.
    case code(Int32)
    /// Done; print this.
    case text(String)
    /// Failed; one line.
    case failure(String)

    static let version = "piko version \(PikoVersion.text)"

    /// Prints what an error has to say and returns the exit code.
    static func report(_ error: any Error) -> Int32 {
        switch error {
        case let exit as CommandExit:
            return exit.report()
        case let error as ConfigurationError:
            return fail(error.message)
        default:
            let isSuccess = Piko.exitCode(for: error).isSuccess
            if isSuccess { return CommandExit.text(Piko.fullMessage(for: error)).report() }
            return fail(Piko.message(for: error))
        }
    }

    private func report() -> Int32 {
        switch self {
        case .code(let code):
            return code
        case .text(let text):
            print(text)
            return 0
        case .failure(let message):
            return Self.fail(message)
        }
    }

    private static func fail(_ message: String) -> Int32 {
        let line = message.split(whereSeparator: \.isNewline).joined(separator: " ")
        var text = "piko: \(line)\n"
        text.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
        return 1
    }
}
