// SPDX-License-Identifier: MIT
// Makes sure that descriptors 0, 1 and 2 are open before anything else is opened. Main thread, first of all.
// A process started without one would give its number to a socket, and write its log into it.

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

enum StandardDescriptors {
    /// Those that are closed become /dev/null.
    static func open() {
        for number: Int32 in 0...2 where fcntl(number, F_GETFD) == -1 {
            #if canImport(Darwin)
            _ = Darwin.open("/dev/null", O_RDWR)
            #else
            _ = Glibc.open("/dev/null", O_RDWR)
            #endif
        }
    }
}
