// SPDX-License-Identifier: MIT
// One input through the way a head takes in a node: the scanner finds its end, the parser reads it, the rewriter writes it
// on. What came out is told as JSON. One thread; the heads are reused for all inputs, as a connection does.

import CWire
import PikoCore

final class HeadDump {
    /// What the bytes are to be read as.
    enum Kind: UInt8 {
        case request = 0x51  // Q
        case response = 0x52  // R, to a GET
        case responseToHead = 0x48  // H
        case responseToConnect = 0x43  // C
        case responseToUpgrade = 0x55  // U
    }

    private let request = RequestHead()
    private let response = ResponseHead()
    private let writer = HeadWriter()

    /// The JSON line for one input, its line feed included.
    func line(_ kind: Kind, _ bytes: [UInt8]) -> [UInt8] {
        var json = JSONLine()
        bytes.withUnsafeBytes { all in
            let skipped = kind == .request && all.starts(with: [0x0d, 0x0a]) ? 2 : 0
            let rest = UnsafeRawBufferPointer(rebasing: all[skipped...])
            var scan = cw_head_scan()
            let end = Int(cw_head_scan_next(&scan, rest.baseAddress?.assumingMemoryBound(to: UInt8.self), rest.count))
            json.add("consumed", end > 0 ? end + skipped : end)
            let head = UnsafeRawBufferPointer(rebasing: rest[..<max(end, 0)])
            let fault = end <= 0 ? .incomplete : parse(kind, head)
            if let fault { return refused(fault, scanned: end > 0, &json) }
            json.add("ok", true)
            kind == .request ? accepted(request, &json) : accepted(response, &json)
        }
        return json.finish()
    }

    private func parse(_ kind: Kind, _ head: UnsafeRawBufferPointer) -> HeadFault? {
        var asked = RequestTraits()
        asked.method = kind == .responseToHead ? .head : kind == .responseToConnect ? .connect : .get
        asked.isUpgrade = kind == .responseToUpgrade
        return kind == .request ? request.parse(head) : response.parse(head, answering: asked)
    }

    private func refused(_ fault: HeadFault, scanned: Bool, _ json: inout JSONLine) {
        json.add("ok", false)
        json.add("fault", scanned ? "\(fault)" : "scan")
        json.add("status", Int(fault.status))
    }

    private func accepted(_ head: RequestHead, _ json: inout JSONLine) {
        json.add("method", head.method)
        json.add("target", head.targetAsSent)
        json.add("path", head.pathAndQuery)
        json.add("version", head.traits.version == .http11 ? "1.1" : "1.0")
        if let host = head.host { json.add("host", host) }
        if let endpoint = head.endpoint { json.add("endpoint", endpoint) }
        common(head.fields, head.traits.framing, head.traits.keepAlive, head.traits.isUpgrade, &json)
        writer.clear()
        head.write(RequestRewrite(), to: writer)
        json.add("out", writer.bytes)
    }

    private func accepted(_ head: ResponseHead, _ json: inout JSONLine) {
        json.add("code", Int(head.traits.status))
        json.add("reason", head.reason)
        json.add("version", head.traits.version == .http11 ? "1.1" : "1.0")
        common(head.fields, head.traits.framing, head.traits.keepAlive, head.traits.isUpgrade, &json)
        writer.clear()
        head.write(ResponseRewrite(), to: writer)
        json.add("out", writer.bytes)
    }

    private func common(
        _ fields: HeadFields, _ framing: BodyFraming, _ keepAlive: Bool, _ upgrade: Bool, _ json: inout JSONLine
    ) {
        switch framing {
        case .empty: json.add("framing", "empty")
        case .length(let length): json.add("framing", "length \(length)")
        case .chunked: json.add("framing", "chunked")
        case .untilClose: json.add("framing", "close")
        }
        json.add("keepalive", keepAlive)
        json.add("upgrade", upgrade)
        json.add("fields", fields)
    }
}
