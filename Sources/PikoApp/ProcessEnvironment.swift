// SPDX-License-Identifier: MIT
// The variables of this process, for what PikoCore decides by them.
// Main thread.

import FoundationEssentials
import PikoCore

extension ProxyEnvironment {
    /// What this process was started with.
    static var process: ProxyEnvironment { ProxyEnvironment { ProcessInfo.processInfo.environment[$0] } }
}
