// SPDX-License-Identifier: MIT
// A JSON object on one line, in the few shapes HeadDump prints. Bytes become strings of the code points of the same number
// (Latin-1), so that the reader gets back exactly the bytes. Not shipped.

import PikoCore

struct JSONLine {
    private var bytes: [UInt8] = [UInt8(ascii: "{")]

    mutating func add(_ key: StaticString, _ value: Bool) { add(key, raw: value ? "true" : "false") }
    mutating func add(_ key: StaticString, _ value: Int) { add(key, raw: "\(value)") }

    mutating func add(_ key: StaticString, _ value: String) {
        add(key, raw: "\"\(value)\"")
    }

    mutating func add(_ key: StaticString, _ value: UnsafeRawBufferPointer) {
        name(key)
        string(value)
    }

    mutating func add(_ key: StaticString, _ fields: HeadFields) {
        name(key)
        bytes.append(UInt8(ascii: "["))
        for index in 0..<fields.count {
            bytes.append(contentsOf: index == 0 ? "[".utf8 : ",[".utf8)
            string(fields[index].name)
            bytes.append(UInt8(ascii: ","))
            string(fields[index].value)
            bytes.append(UInt8(ascii: "]"))
        }
        bytes.append(UInt8(ascii: "]"))
    }

    consuming func finish() -> [UInt8] {
        bytes.append(contentsOf: "}\n".utf8)
        return bytes
    }

    private mutating func add(_ key: StaticString, raw: String) {
        name(key)
        bytes.append(contentsOf: raw.utf8)
    }

    private mutating func name(_ key: StaticString) {
        bytes.append(contentsOf: bytes.count > 1 ? ",\"".utf8 : "\"".utf8)
        bytes.append(contentsOf: UnsafeBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount))
        bytes.append(contentsOf: "\":".utf8)
    }

    private mutating func string(_ value: UnsafeRawBufferPointer) {
        let digits = Array("0123456789abcdef".utf8)
        bytes.append(UInt8(ascii: "\""))
        for byte in value {
            if byte >= 0x20, byte < 0x7f, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
                bytes.append(byte)
            } else {
                bytes.append(contentsOf: "\\u00".utf8)
                bytes.append(contentsOf: [digits[Int(byte >> 4)], digits[Int(byte & 15)]])
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
