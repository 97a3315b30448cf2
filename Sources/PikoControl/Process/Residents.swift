// SPDX-License-Identifier: MIT
// What is under way on a loop and must end before the process does: relays, tunnels. Loop-confined. It keeps nothing alive longer than
// the thing itself says: whoever enters leaves.

/// The things under way on one loop.
public final class Residents {
    private var aborts: [ObjectIdentifier: () -> Void] = [:]
    /// Called whenever the last one has left.
    public var onEmpty: () -> Void = {}

    public init() {}

    public var count: Int { aborts.count }

    /// `abort` ends it at once; it must lead to `leave`.
    public func enter(_ resident: AnyObject, abort: @escaping () -> Void) {
        aborts[ObjectIdentifier(resident)] = abort
    }

    public func leave(_ resident: AnyObject) {
        guard aborts.removeValue(forKey: ObjectIdentifier(resident)) != nil else { return }
        if aborts.isEmpty { onEmpty() }
    }

    /// Ends everything at once; they leave as they close.
    public func abortAll() {
        for abort in Array(aborts.values) { abort() }
    }
}
