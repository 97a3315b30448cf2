// SPDX-License-Identifier: MIT
// Names to addresses by the system's resolver, off the loop's thread; the answer comes on the loop.
// Keeps no cache.

internal import CUV

/// Resolves names.
public enum Resolver {
    /// The completion runs exactly once, in a later turn; at least one address on success, in the system's order of preference.
    public static func resolve(
        host: String, port: UInt16, on loop: EventLoop,
        completion: @escaping (Result<[SocketAddress], EngineError>) -> Void
    ) {
        loop.assertCurrent()
        let query = Unmanaged.passRetained(Query(completion))
        let status = cuv_resolve(loop.raw, host, port, didResolve, query.toOpaque())
        guard status < 0 else { return }
        query.release()
        loop.post(failing(completion, status))
    }

    private static func failing(
        _ completion: @escaping (Result<[SocketAddress], EngineError>) -> Void, _ status: Int32
    ) -> sending () -> Void {
        nonisolated(unsafe) let completion = completion  // stays on this loop
        return { completion(.failure(EngineError(code: status))) }
    }
}

private final class Query {
    let completion: (Result<[SocketAddress], EngineError>) -> Void
    init(_ completion: @escaping (Result<[SocketAddress], EngineError>) -> Void) { self.completion = completion }
}

private func didResolve(
    _ context: UnsafeMutableRawPointer?, _ status: Int32, _ addresses: UnsafePointer<cuv_address>?, _ count: Int
) {
    let query = Unmanaged<Query>.fromOpaque(context!).takeRetainedValue()
    guard status == 0 else { return query.completion(.failure(EngineError(code: status))) }
    query.completion(.success(UnsafeBufferPointer(start: addresses, count: count).map(SocketAddress.init)))
}
