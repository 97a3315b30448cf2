// SPDX-License-Identifier: MIT
// What tells one content of a file from another without reading it.
// A plain value; making one asks the file system, which may block.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Which file a path named, and when it was written last.
struct FileStamp: Equatable, Sendable {
    private let device: UInt64
    private let inode: UInt64
    let size: Int64
    private let seconds: Int
    private let nanoseconds: Int

    /// nil when there is none.
    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = UInt64(truncatingIfNeeded: status.st_dev)
        inode = UInt64(truncatingIfNeeded: status.st_ino)
        size = Int64(status.st_size)
        #if canImport(Darwin)
        (seconds, nanoseconds) = (status.st_mtimespec.tv_sec, status.st_mtimespec.tv_nsec)
        #else
        (seconds, nanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
        #endif
    }
}
