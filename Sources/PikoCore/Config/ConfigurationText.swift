// SPDX-License-Identifier: MIT
// A whole configuration as text, key by key, fit to be logged; and which of its keys say something that nothing comes of.
// Pure; secrets are masked.

public enum ConfigurationText {
    /// Every key by its path with its value as a file would have it; empty for none. Lists of mappings by index ("listeners[0].addr").
    public static func entries<Root>(of root: Root, _ keys: [ConfigurationKey<Root>]) -> [(key: String, text: String)] {
        keys.flatMap { key in key.content.shown(root).map { (key.path + $0.suffix, $0.text) } }
    }

    /// The keys without effect that have another value than in `defaults`, by path as in `entries`.
    public static func idleKeys<Root>(of root: Root, defaults: Root, _ keys: [ConfigurationKey<Root>]) -> [String] {
        keys.flatMap { key in
            if key.support == .noEffect { return key.written(root) == key.written(defaults) ? [] : [key.path] }
            return key.content.idle(root).map { key.path + $0 }
        }
    }
}
