// SPDX-License-Identifier: MIT
// A one-shot timer of a loop, cheap to arm again and again.
// Freed with its owner, which must be on the loop's thread.

internal import CUV

/// Fires once for each arming. Loop-confined, also its deinit.
public final class Timer {
    private var raw: OpaquePointer?
    private let onFire: () -> Void

    /// `onFire` runs on the loop; capture the owner weakly or unowned: the timer is the owner's.
    public init(on loop: EventLoop, onFire: @escaping () -> Void) {
        loop.assertCurrent()
        self.onFire = onFire
        raw = cuv_timer_new(
            loop.raw, { Unmanaged<Timer>.fromOpaque($0!).takeUnretainedValue().onFire() },
            Unmanaged.passUnretained(self).toOpaque())
    }

    deinit {
        if let raw { cuv_timer_free(raw) }
    }

    /// Fires after `milliseconds`, unless armed anew or disarmed before. 0: in the next turn.
    public func arm(_ milliseconds: UInt64) {
        if let raw { cuv_timer_arm(raw, milliseconds) }
    }

    public func disarm() {
        if let raw { cuv_timer_disarm(raw) }
    }

    public var isArmed: Bool { raw.map { cuv_timer_is_armed($0) } ?? false }
}
