// SPDX-License-Identifier: MIT
// What a command that does not work yet does: it has help and a version, and refuses anything else with one line.
// Main thread.

enum NotYet {
    /// Ends the command. `name` without "piko".
    static func run(_ arguments: [String], name: String, usage: String, about: String) throws -> Never {
        let flags = arguments.prefix { $0 != "--" }
        if flags.contains(where: { $0 == "--help" || $0 == "-h" }) {
            throw CommandExit.text("\(about) Not supported yet.\n\nUsage: piko \(usage)")
        }
        if flags.contains("--version") { throw CommandExit.text(CommandExit.version) }
        throw CommandExit.failure("\(name): not supported yet")
    }
}
