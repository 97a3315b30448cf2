// SPDX-License-Identifier: MIT
// What a process does with a configuration that was read again while it runs: which keys take effect, which would need a restart.
// A plain value; whoever runs the process carries it out.

/// From the configuration in effect to the one just read.
public struct ReloadPlan<Root> {
    /// What is in effect from now on: the old one with all live changes of the new one.
    public private(set) var configuration: Root
    /// The keys that have changed and take effect, by path ("listeners[0].timeout").
    public private(set) var applied: [String] = []
    /// The keys that have changed and keep their old value until a restart.
    public private(set) var needRestart: [String] = []

    public init(from old: Root, to new: Root, keys: [ConfigurationKey<Root>]) {
        configuration = old
        for key in keys {
            for change in key.content.changes(old, new, key.isLive) {
                if change.isLive { applied.append(key.path + change.suffix) } else { needRestart.append(key.path + change.suffix) }
            }
            key.content.take(&configuration, new, key.isLive)
        }
    }

    /// Whether anything that takes effect is below `section` ("proxy.tls").
    public func changes(_ section: String) -> Bool {
        applied.contains { $0 == section || $0.hasPrefix(section + ".") || $0.hasPrefix(section + "[") }
    }
}

extension ReloadPlan: Sendable where Root: Sendable {}
