// SPDX-License-Identifier: MIT
// The field names that Piko gives a meaning to, and the look-up from a name's bytes. Pure; no allocation; any thread.
// A name that is not here is passed on untouched and found by its bytes (HeadFields.value(named:)).

/// A field name with a meaning to Piko. Found once when a head is parsed.
public enum KnownField: UInt8, Sendable {
    case other
    // Meant for one hop only (RFC 9110 7.6.1 and its registry): never passed on as they came.
    case connection, keepAlive, proxyConnection, te, upgrade, proxyAuthenticate, proxyAuthorization, http2Settings
    // Framing and routing of the message itself.
    case host, contentLength, transferEncoding, expect, trailer
    // Added or read by the nodes on the way.
    case xForwardedFor, xForwardedProto, xForwardedHost
    case xPikoEndpoint, xPikoForward, xPikoAuthorization, xPikoTenantID, xPikoRefused, xPikoNode, xPikoLoops
    case authorization
    // WebSocket handshakes (RFC 6455 4).
    case secWebSocketKey, secWebSocketVersion, secWebSocketAccept, secWebSocketProtocol, secWebSocketExtensions
    // Meant for both ends; known so that a Connection header cannot take them away.
    case cookie, setCookie, date, server, contentType, contentEncoding, cacheControl, location, forwarded, via

    /// True for names that end at the next hop by themselves, whether or not Connection nominates them.
    @inline(__always)
    var isHopByHop: Bool { rawValue >= KnownField.connection.rawValue && rawValue <= KnownField.proxyAuthorization.rawValue }

    /// True when a nomination in Connection takes the field away: only for names that carry nothing for the far end.
    @inline(__always)
    var obeysNomination: Bool { rawValue <= KnownField.http2Settings.rawValue }
}

extension KnownField {
    /// Whether a name that is not known would be one of the message's own, or one that a node adds, with "-" for "_".
    /// Services behind CGI and its descendants cannot tell the two apart, so such a name could smuggle what we never looked
    /// at.
    static func isAlias(_ name: UnsafeRawPointer, _ count: Int) -> Bool {
        if count > 24 { return false }
        for at in 0..<count where name.load(fromByteOffset: at, as: UInt8.self) == UInt8(ascii: "_") {
            return isUnderscored(name, count)
        }
        return false
    }

    private static func isUnderscored(_ name: UnsafeRawPointer, _ count: Int) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 24, alignment: 8) { copy in
            for at in 0..<count {
                let byte = name.load(fromByteOffset: at, as: UInt8.self)
                copy[at] = byte == UInt8(ascii: "_") ? UInt8(ascii: "-") : byte
            }
            guard let start = copy.baseAddress else { return false }
            return KnownField(name: start, count: count).isSpoofable
        }
    }

    private var isSpoofable: Bool {
        rawValue >= KnownField.host.rawValue && rawValue <= KnownField.authorization.rawValue
    }

    /// Finds a name by its bytes, which must all be tokens (RFC 9110 5.1), letters in either case.
    @inline(__always)
    init(name: UnsafeRawPointer, count: Int) {
        self = count < 2 || count > 24 ? .other : KnownField.find(name, count)
    }

    private static func find(_ name: UnsafeRawPointer, _ count: Int) -> KnownField {
        switch count {
        case 2: return named(name, count, "te", .te)
        case 3: return named(name, count, "via", .via)
        case 4: return named(name, count, "host", .host, "date", .date)
        case 6: return findSix(name, count)
        case 7: return named(name, count, "upgrade", .upgrade, "trailer", .trailer)
        case 8: return named(name, count, "location", .location)
        case 9: return named(name, count, "forwarded", .forwarded)
        case 10: return findTen(name, count)
        case 11: return named(name, count, "x-piko-node", .xPikoNode)
        case 12: return named(name, count, "content-type", .contentType, "x-piko-loops", .xPikoLoops)
        case 13: return named(name, count, "authorization", .authorization, "cache-control", .cacheControl)
        case 14: return findFourteen(name, count)
        default: return findLong(name, count)
        }
    }

    private static func findSix(_ name: UnsafeRawPointer, _ count: Int) -> KnownField {
        let found = named(name, count, "cookie", .cookie, "expect", .expect)
        return found != .other ? found : named(name, count, "server", .server)
    }

    private static func findTen(_ name: UnsafeRawPointer, _ count: Int) -> KnownField {
        let found = named(name, count, "connection", .connection, "keep-alive", .keepAlive)
        return found != .other ? found : named(name, count, "set-cookie", .setCookie)
    }

    private static func findFourteen(_ name: UnsafeRawPointer, _ count: Int) -> KnownField {
        let found = named(name, count, "content-length", .contentLength, "x-piko-forward", .xPikoForward)
        return found != .other
            ? found : named(name, count, "http2-settings", .http2Settings, "x-piko-refused", .xPikoRefused)
    }

    private static func findLong(_ name: UnsafeRawPointer, _ count: Int) -> KnownField {
        switch count {
        case 15: return named(name, count, "x-piko-endpoint", .xPikoEndpoint, "x-forwarded-for", .xForwardedFor)
        case 16: return findSixteen(name, count)
        case 17: return findSeventeen(name, count)
        case 18: return named(name, count, "proxy-authenticate", .proxyAuthenticate)
        case 19: return named(name, count, "proxy-authorization", .proxyAuthorization)
        case 20: return findTwenty(name, count)
        case 21: return named(name, count, "sec-websocket-version", .secWebSocketVersion)
        case 22: return named(name, count, "sec-websocket-protocol", .secWebSocketProtocol)
        case 24: return named(name, count, "sec-websocket-extensions", .secWebSocketExtensions)
        default: return .other
        }
    }

    private static func findSixteen(_ name: UnsafeRawPointer, _ count: Int) -> KnownField {
        let found = named(name, count, "proxy-connection", .proxyConnection, "content-encoding", .contentEncoding)
        return found != .other
            ? found : named(name, count, "x-forwarded-host", .xForwardedHost, "x-piko-tenant-id", .xPikoTenantID)
    }

    private static func findSeventeen(_ name: UnsafeRawPointer, _ count: Int) -> KnownField {
        let found = named(name, count, "transfer-encoding", .transferEncoding, "x-forwarded-proto", .xForwardedProto)
        return found != .other ? found : named(name, count, "sec-websocket-key", .secWebSocketKey)
    }

    private static func findTwenty(_ name: UnsafeRawPointer, _ count: Int) -> KnownField {
        named(name, count, "x-piko-authorization", .xPikoAuthorization, "sec-websocket-accept", .secWebSocketAccept)
    }

    @inline(__always)
    private static func named(
        _ name: UnsafeRawPointer, _ count: Int, _ text: StaticString, _ field: KnownField
    ) -> KnownField {
        count == text.utf8CodeUnitCount && ByteClass.spells(name, count, text) ? field : .other
    }

    @inline(__always)
    private static func named(
        _ name: UnsafeRawPointer, _ count: Int,
        _ text: StaticString, _ field: KnownField, _ second: StaticString, _ other: KnownField
    ) -> KnownField {
        let found = named(name, count, text, field)
        return found != .other ? found : named(name, count, second, other)
    }
}
