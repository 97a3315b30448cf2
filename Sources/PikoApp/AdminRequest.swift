// SPDX-License-Identifier: MIT
// One GET to the admin port of a node.
// Main thread; waits for the answer.

import PikoCore

enum AdminRequest {
    static func get(_ url: ConfiguredURL, _ path: String) throws -> String {
        throw CommandExit.failure("server status: not supported yet")
    }
}
