// SPDX-License-Identifier: MIT
// What a key's part of a configuration holds, looked at from outside: shown as text, compared with another configuration's, taken from it.
// Pure. A list of mappings answers for the keys of its elements, "[0].timeout".

/// A key, or a key of a list's element, that two configurations have differently.
struct KeyChange: Equatable {
    /// Behind the key's path: empty for the key itself.
    var suffix = ""
    /// Takes effect without a restart.
    var isLive: Bool
}

/// The part of a `Root` that one key stands for. `isLive` is what the table of keys says of the key.
struct KeyContent<Root> {
    /// Texts by what is behind the key's path; secrets masked.
    let shown: (Root) -> [(suffix: String, text: String)]
    let changes: (_ old: Root, _ new: Root, _ isLive: Bool) -> [KeyChange]
    /// Takes from `new` what is live.
    let take: (inout Root, _ new: Root, _ isLive: Bool) -> Void
    /// Of a list of mappings: what is behind the key's path of those keys of its elements that are given and have no effect.
    let idle: (Root) -> [String]

    /// Of a single value.
    init<Value>(_ place: WritableKeyPath<Root, Value>, _ type: ValueType<Value>) {
        shown = {
            let text = type.write($0[keyPath: place])
            return [("", type.isSecret && !text.isEmpty ? ShownText.mask : ShownText.masked(text))]
        }
        changes = { $0[keyPath: place] == $1[keyPath: place] ? [] : [KeyChange(isLive: $2)] }
        take = { root, new, isLive in
            if isLive { root[keyPath: place] = new[keyPath: place] }
        }
        idle = { _ in [] }
    }

    /// Of a list of mappings. Live as a whole, or else element by element where both have as many: an element of which one change needs a
    /// restart stays as it is.
    /// - Parameter empty: what an element is of which nothing is given.
    init<Element: Equatable>(_ place: WritableKeyPath<Root, [Element]>, of keys: [ConfigurationKey<Element>], empty: Element) {
        shown = { root in
            root[keyPath: place].enumerated().flatMap { index, element in
                ConfigurationText.entries(of: element, keys).map { ("[\(index)].\($0.key)", $0.text) }
            }
        }
        changes = { old, new, isLive in
            let (old, new) = (old[keyPath: place], new[keyPath: place])
            if old == new { return [] }
            if isLive || old.count != new.count { return [KeyChange(isLive: isLive)] }
            return old.indices.flatMap { index in Self.changes(in: keys, from: old[index], to: new[index], at: index) }
        }
        take = { root, new, isLive in
            let new = new[keyPath: place]
            if isLive { return root[keyPath: place] = new }
            guard root[keyPath: place].count == new.count else { return }
            for index in new.indices {
                let plan = ReloadPlan(from: root[keyPath: place][index], to: new[index], keys: keys)
                if plan.needRestart.isEmpty { root[keyPath: place][index] = plan.configuration }
            }
        }
        idle = { root in
            root[keyPath: place].enumerated().flatMap { index, element in
                ConfigurationText.idleKeys(of: element, defaults: empty, keys).map { "[\(index)].\($0)" }
            }
        }
    }

    private static func changes<Element>(
        in keys: [ConfigurationKey<Element>], from old: Element, to new: Element, at index: Int
    ) -> [KeyChange] {
        let plan = ReloadPlan(from: old, to: new, keys: keys)
        return (plan.applied + plan.needRestart).map { KeyChange(suffix: "[\(index)].\($0)", isLive: plan.needRestart.isEmpty) }
    }

    private init(
        shown: @escaping (Root) -> [(suffix: String, text: String)], changes: @escaping (Root, Root, Bool) -> [KeyChange],
        take: @escaping (inout Root, Root, Bool) -> Void, idle: @escaping (Root) -> [String]
    ) {
        self.shown = shown
        self.changes = changes
        self.take = take
        self.idle = idle
    }

    /// The same as part of something larger.
    func under<Outer>(_ place: WritableKeyPath<Outer, Root>) -> KeyContent<Outer> {
        let (shown, changes, take, idle) = (shown, changes, take, idle)
        return KeyContent<Outer>(
            shown: { shown($0[keyPath: place]) },
            changes: { changes($0[keyPath: place], $1[keyPath: place], $2) },
            take: { take(&$0[keyPath: place], $1[keyPath: place], $2) },
            idle: { idle($0[keyPath: place]) })
    }
}
