// SPDX-License-Identifier: MIT
// A signal of the process, delivered on a loop.
// Ends with `cancel`, on the loop's thread.

internal import CUV

/// Watches one signal number. Loop-confined.
public final class SignalWatch {
    private var raw: OpaquePointer?
    private let onSignal: (Int32) -> Void

    public init(_ number: Int32, on loop: EventLoop, onSignal: @escaping (Int32) -> Void) throws(EngineError) {
        loop.assertCurrent()
        self.onSignal = onSignal
        var error: Int32 = 0
        raw = cuv_signal_watch(
            loop.raw, number, { Unmanaged<SignalWatch>.fromOpaque($0!).takeUnretainedValue().onSignal($1) },
            Unmanaged.passUnretained(self).toOpaque(), &error)
        if raw == nil { throw EngineError(code: error) }
    }

    /// Ends it. Must be called before the object goes away.
    public func cancel() {
        if let raw { cuv_signal_free(raw) }
        raw = nil
    }

    deinit { precondition(raw == nil, "cancel a SignalWatch before letting go of it") }
}
