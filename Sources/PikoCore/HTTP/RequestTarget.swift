// SPDX-License-Identifier: MIT
// The forms of a request target (RFC 9112 3.2) and what of it is passed on. Pure functions over borrowed bytes. A gateway
// speaks to its service in origin form: an absolute target is cut down to it, after its authority has been held against Host.

/// A request target, taken apart in place.
struct RequestTarget {
    /// From "/" or "?" to the end as it was sent; empty for an absolute target without a path, and for CONNECT and "*".
    let path: UnsafeRawBufferPointer
    /// The authority of an absolute target or of CONNECT, else nil.
    let authority: HostValue?
    let form: Form
    /// The port that an authority without one means; for CONNECT there is none.
    private(set) var defaultPort: StaticString = ""

    enum Form { case origin, absolute, authority, asterisk }

    init(_ target: UnsafeRawBufferPointer, method: KnownMethod) throws(HeadFault) {
        guard let first = target.first else { throw .badTarget }
        if method == .connect {
            guard let value = HostValue(target), !value.port.isEmpty else { throw .badTarget }
            (path, authority, form) = (RequestTarget.nothing(of: target), value, .authority)
        } else if first == ByteClass.slash {
            (path, authority, form) = (target, nil, .origin)
        } else if first == UInt8(ascii: "*") {
            guard target.count == 1, method == .options else { throw .badTarget }
            (path, authority, form) = (RequestTarget.nothing(of: target), nil, .asterisk)
        } else {
            let start = try RequestTarget.schemeEnd(target)
            defaultPort = start == 7 ? "80" : "443"
            let end = target[start...].firstIndex { $0 == ByteClass.slash || $0 == UInt8(ascii: "?") } ?? target.count
            guard let value = HostValue(UnsafeRawBufferPointer(rebasing: target[start..<end])) else { throw .badTarget }
            (path, authority, form) = (UnsafeRawBufferPointer(rebasing: target[end...]), value, .absolute)
        }
    }

    /// The length of "http://" or "https://" at the start.
    private static func schemeEnd(_ target: UnsafeRawBufferPointer) throws(HeadFault) -> Int {
        if starts(target, with: "http://") { return 7 }
        if starts(target, with: "https://") { return 8 }
        throw .badTarget
    }

    private static func starts(_ target: UnsafeRawBufferPointer, with scheme: StaticString) -> Bool {
        let count = scheme.utf8CodeUnitCount
        return target.count > count && TokenList.element(UnsafeRawBufferPointer(rebasing: target[0..<count]), is: scheme)
    }

    private static func nothing(of target: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: target[0..<0])
    }
}
