// SPDX-License-Identifier: MIT
// Names to addresses by the system's resolver, off the loop's thread; the answer comes on the loop.
// Keeps no cache.

internal import CUV

/// One question to the resolver. Keeps itself alive until it is answered or given up. Loop-confined.
public final class Resolver {
    public typealias Completion = (Result<[SocketAddress], EngineError>) -> Void

    private var completion: Completion?
    /// nil once C has let go of it.
    private var raw: OpaquePointer?

    private init(_ completion: @escaping Completion) { self.completion = completion }

    /// The completion runs exactly once, in a later turn, unless cancelled; at least one address on success, in the system's order of
    /// preference. A loop that is asked to stop answers all questions with `.closed`.
    @discardableResult
    public static func resolve(host: String, port: UInt16, on loop: EventLoop, completion: @escaping Completion) -> Resolver {
        loop.assertCurrent()
        let resolver = Resolver(completion)
        var error: Int32 = 0
        let context = Unmanaged.passRetained(resolver)
        resolver.raw = cuv_resolve(loop.raw, host, port, didResolve, context.toOpaque(), &error)
        if resolver.raw == nil {
            context.release()
            resolver.fail(EngineError(code: error), on: loop)
        }
        return resolver
    }

    private func fail(_ error: EngineError, on loop: EventLoop) {
        nonisolated(unsafe) let this = self  // the letter comes back to this loop
        loop.post { this.finish(.failure(error)) }
    }

    /// Gives up; the completion does not run. The system may go on asking, for nobody.
    public func cancel() {
        completion = nil
        guard let raw else { return }
        self.raw = nil
        cuv_resolve_cancel(raw)
        Unmanaged.passUnretained(self).release()
    }

    fileprivate func finish(_ result: Result<[SocketAddress], EngineError>) {
        raw = nil
        let completion = self.completion
        self.completion = nil
        completion?(result)
    }
}

private func didResolve(
    _ context: UnsafeMutableRawPointer?, _ status: Int32, _ addresses: UnsafePointer<cuv_address>?, _ count: Int
) {
    let resolver = Unmanaged<Resolver>.fromOpaque(context!).takeRetainedValue()
    guard status == 0 else { return resolver.finish(.failure(EngineError(code: status))) }
    resolver.finish(.success(UnsafeBufferPointer(start: addresses, count: count).map(SocketAddress.init)))
}
