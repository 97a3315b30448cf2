// SPDX-License-Identifier: MIT
// Says at the end of a process whether anything was left on its loops.
// Main thread, after the loops have ended.

import PikoEngine

/// The counters of all loops at their end.
enum ShutdownReport {
    /// A debug line with the sum when all is zero, an error line when something leaked.
    static func write(_ counts: [EngineCounts], to log: Log) {
        let leaked = counts.contains { $0 != EngineCounts() }
        log.write(leaked ? .error : .info, leaked ? "stopped with leftovers" : "stopped") { line in
            line.add("connections", counts.reduce(0) { $0 + $1.connections })
            line.add("streams", counts.reduce(0) { $0 + $1.streams })
            line.add("sessions", counts.reduce(0) { $0 + $1.sessions })
            line.add("flows", counts.reduce(0) { $0 + $1.flows })
            line.add("buffers", counts.reduce(0) { $0 + $1.buffers })
            line.add("timers", counts.reduce(0) { $0 + $1.timers })
        }
    }
}
