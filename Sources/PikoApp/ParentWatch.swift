// SPDX-License-Identifier: MIT
// Ends a node that `piko test cluster` has started when that is gone, however it went: a killed parent leaves nothing behind.
// Looks from a thread of Dispatch, four times a second; a process without that parent does not look at all.

import Dispatch
import PikoControl

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

enum ParentWatch {
    /// Looks from now on, where the environment names a parent.
    static func start() {
        guard let text = getenv(TestClusterProcess.parentVariable), let parent = pid_t(String(cString: text)) else { return }
        look(for: parent)
    }

    private static func look(for parent: pid_t) {
        guard getppid() == parent else {
            kill(getpid(), SIGTERM)
            return
        }
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(250)) { look(for: parent) }
    }
}
