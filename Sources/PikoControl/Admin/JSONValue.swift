// SPDX-License-Identifier: MIT
// JSON whose fields stay in the order they are given in, as people read them and as the original writes them (a JSONEncoder's come in any).
// A plain value.

/// A JSON value to be written.
indirect enum JSONValue {
    case text(String)
    case number(UInt64)
    case flag(Bool)
    case list([JSONValue])
    case object([(String, JSONValue)])

    var text: String {
        var out: [UInt8] = []
        append(to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    private func append(to out: inout [UInt8]) {
        switch self {
        case .text(let text): Self.quote(text, to: &out)
        case .number(let number): out += String(number).utf8
        case .flag(let flag): out += (flag ? "true" : "false").utf8
        case .list(let values):
            Self.enclose("[", values, "]", to: &out) { $0.append(to: &$1) }
        case .object(let fields):
            Self.enclose("{", fields, "}", to: &out) { field, out in
                Self.quote(field.0, to: &out)
                out += ":".utf8
                field.1.append(to: &out)
            }
        }
    }

    private static func enclose<Part>(
        _ first: String, _ parts: [Part], _ last: String, to out: inout [UInt8], _ write: (Part, inout [UInt8]) -> Void
    ) {
        out += first.utf8
        for (index, part) in parts.enumerated() {
            if index > 0 { out += ",".utf8 }
            write(part, &out)
        }
        out += last.utf8
    }

    /// RFC 8259 7.
    private static func quote(_ text: String, to out: inout [UInt8]) {
        let hex = Array("0123456789abcdef".utf8)
        out += "\"".utf8
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), byte]
            case ..<0x20: out += "\\u00".utf8 + [hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            default: out.append(byte)
            }
        }
        out += "\"".utf8
    }
}
