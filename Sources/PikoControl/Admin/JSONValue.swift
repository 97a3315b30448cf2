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

    /// RFC 8259 7. Beyond that, what may move a terminal's cursor, and what is no text in YAML (YAML 1.2 5.1): names come from agents.
    private static func quote(_ text: String, to out: inout [UInt8]) {
        out += "\"".utf8
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x22, 0x5C: out += [UInt8(ascii: "\\"), UInt8(scalar.value)]
            case ..<0x20, 0x7F...0x9F, 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF: escape(scalar, to: &out)
            default: out += scalar.utf8
            }
        }
        out += "\"".utf8
    }

    /// Of the basic plane.
    private static func escape(_ scalar: Unicode.Scalar, to out: inout [UInt8]) {
        let digits = String(scalar.value, radix: 16)
        out += "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".utf8
    }
}
