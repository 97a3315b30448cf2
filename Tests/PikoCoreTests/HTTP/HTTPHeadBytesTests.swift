// SPDX-License-Identifier: MIT
// Character classes against their definition, known names, and heads cut or changed at every byte:
// refused or read, never a trap.

import Testing

@testable import PikoCore

@Suite struct HTTPHeadBytesTests {
    @Test("bytes: the classes are those of the RFCs")
    func classes() {
        let alphanumerics = Array("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
        let token = Set(alphanumerics + Array("!#$%&'*+-.^_`|~".utf8))
        let host = Set(alphanumerics + Array("-._~".utf8))
        for byte in UInt8.min...UInt8.max {
            #expect(ByteClass.isToken(byte) == token.contains(byte))
            #expect(ByteClass.isHostName(byte) == host.contains(byte))
            #expect(ByteClass.isHexDigit(byte) == "0123456789abcdefABCDEF".utf8.contains(byte))
        }
    }

    @Test("bytes: every byte at every place of a name, a value and a target is judged alike")
    func everyByteEveryPlace() {
        for place in 0..<19 {
            for byte in UInt8.min...UInt8.max {
                var bytes = [UInt8](repeating: 0x61, count: 19)
                bytes[place] = byte
                let (control, target, letter) = bytes.withUnsafeBytes { bytes in
                    let start = bytes.baseAddress!
                    return (
                        ByteClass.firstControl(start, from: 0, to: 19), ByteClass.firstNonTarget(start, from: 0, to: 19),
                        ByteClass.firstNonLetter(start, from: 0, to: 19)
                    )
                }
                let isControl = byte < 0x20 || byte == 0x7f
                let isOutside = byte <= 0x20 || byte >= 0x7f || byte == UInt8(ascii: "#")
                let isLetter = byte == 0x2d || 0x41...0x5a ~= byte || 0x61...0x7a ~= byte
                #expect(control == (isControl ? place : 19) && target == (isOutside ? place : 19), "byte \(byte) at \(place)")
                #expect(letter == (isLetter ? 19 : place), "byte \(byte) at \(place)")
            }
        }
    }

    @Test("names: each known name is found in both cases, and no near miss of it")
    func knownNames() {
        let names: [(String, KnownField)] = [
            ("te", .te), ("via", .via), ("host", .host), ("date", .date), ("cookie", .cookie), ("expect", .expect),
            ("server", .server),
            ("upgrade", .upgrade), ("trailer", .trailer), ("location", .location), ("forwarded", .forwarded),
            ("connection", .connection),
            ("keep-alive", .keepAlive), ("set-cookie", .setCookie), ("content-type", .contentType),
            ("authorization", .authorization),
            ("cache-control", .cacheControl), ("content-length", .contentLength), ("x-piko-forward", .xPikoForward), ("x-piko-refused", .xPikoRefused),
            ("x-piko-node", .xPikoNode), ("x-piko-loops", .xPikoLoops),
            ("http2-settings", .http2Settings), ("x-piko-endpoint", .xPikoEndpoint), ("x-forwarded-for", .xForwardedFor),
            ("proxy-connection", .proxyConnection), ("content-encoding", .contentEncoding),
            ("x-forwarded-host", .xForwardedHost),
            ("x-piko-tenant-id", .xPikoTenantID), ("transfer-encoding", .transferEncoding),
            ("x-forwarded-proto", .xForwardedProto),
            ("sec-websocket-key", .secWebSocketKey), ("proxy-authenticate", .proxyAuthenticate),
            ("proxy-authorization", .proxyAuthorization),
            ("x-piko-authorization", .xPikoAuthorization), ("sec-websocket-accept", .secWebSocketAccept),
            ("sec-websocket-version", .secWebSocketVersion), ("sec-websocket-protocol", .secWebSocketProtocol),
            ("sec-websocket-extensions", .secWebSocketExtensions),
        ]
        func find(_ name: [UInt8]) -> KnownField { name.withUnsafeBytes { KnownField(name: $0.baseAddress!, count: $0.count) } }
        #expect(Set(names.map(\.1.rawValue)).count == Int(KnownField.via.rawValue))
        for (name, field) in names {
            #expect(find(Array(name.utf8)) == field && find(Array(name.uppercased().utf8)) == field)
            for place in name.utf8.indices {
                var near = Array(name.utf8)
                near[name.utf8.distance(from: name.utf8.startIndex, to: place)] ^= 0x01
                #expect(find(near) != field)
            }
        }
    }

    static let sample = Array(
        """
        POST http://svc.example.com/a?b=c HTTP/1.1\r\nHost: svc.example.com\r\nContent-Length: 17\r\nX-Forwarded-For: 1.1.1.1\r\n\
        Connection: keep-alive, Upgrade, X-Gone\r\nUpgrade: websocket\r\nX-Gone: 1\r\nTE: trailers\r\nExpect: 100-continue\r\n\r\n
        """.utf8)

    @Test("request: cut anywhere it is refused, whole it is read")
    func cutAnywhere() {
        for count in 0..<Self.sample.count {
            #expect(parseRequest(Array(Self.sample[..<count])).fault != nil, "\(count) bytes")
        }
        #expect(parseRequest(Self.sample).fault == nil)
    }

    @Test("request: with any byte changed it is refused, or what goes out is read the same again")
    func anyByteChanged() {
        let head = RequestHead(), again = RequestHead(), writer = HeadWriter()
        let bytes = Array(UInt8.min...0x3b) + [0x41, 0x4f, 0x5f, 0x61, 0x63, 0x7e, 0x7f, 0x80, 0xff]
        for place in Self.sample.indices {
            for byte in bytes {
                var bytes = Self.sample
                bytes[place] = byte
                guard bytes.withUnsafeBytes({ head.parse($0) }) == nil else { continue }
                writer.clear()
                head.write(RequestRewrite(), to: writer)
                #expect(again.parse(writer.bytes) == nil)
                #expect(again.traits.framing == head.traits.framing && again.traits.isUpgrade == head.traits.isUpgrade)
            }
        }
    }
}
