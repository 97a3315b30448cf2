// SPDX-License-Identifier: MIT
// Writes lines to a descriptor that others share (standard error) without ever waiting for its reader, and without changing
// its flags, which belong to everybody who has it open. Under LogSink's lock, any thread.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// A borrowed descriptor; never closed here.
struct LogDescriptor: Sendable {
    private let number: Int32
    /// A file always takes a write at once, so it is not asked first.
    private let mayBlock: Bool

    init(_ number: Int32) {
        self.number = number
        var about = stat()
        mayBlock = fstat(number, &about) != 0 || about.st_mode & S_IFMT != S_IFREG
    }

    /// False when the reader is behind, or gone. At most 4096 bytes: so much a pipe that says it is writable takes whole
    /// (POSIX PIPE_BUF), so that the write cannot wait.
    func write(_ line: UnsafeRawBufferPointer) -> Bool {
        if mayBlock, !isWritable() { return false }
        var rest = line[...]
        while !rest.isEmpty {
            let count = writeSome(UnsafeRawBufferPointer(rebasing: rest))
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    private func isWritable() -> Bool {
        var entry = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
        return poll(&entry, 1, 0) == 1 && entry.revents & Int16(POLLOUT) != 0
    }

    private func writeSome(_ bytes: UnsafeRawBufferPointer) -> Int {
        while true {
            #if canImport(Darwin)
            let count = Darwin.write(number, bytes.baseAddress, bytes.count)
            #else
            let count = Glibc.write(number, bytes.baseAddress, bytes.count)
            #endif
            if count >= 0 || errno != EINTR { return count }
        }
    }
}
