// SPDX-License-Identifier: MIT
// Marks the fields that a Connection header nominates as meant for one hop only (RFC 9110 7.6.1). Runs only for heads that
// nominate any. A nomination cannot take away what both ends or Piko need: see KnownField.obeysNomination.

/// The names in Connection, applied to the fields of a head.
enum Nominations {
    /// How many names are looked at. More than any honest sender has; what is named beyond them is passed on.
    private static let bound = 64

    static func mark(_ memory: HeadMemory) {
        var left = bound
        for index in 0..<memory.fieldCount where memory.fields[index].known == .connection {
            var list = TokenList(memory.value(at: index))
            while left > 0, let name = list.next() {
                if name.isEmpty { continue }
                left -= 1
                markFields(named: name, in: memory)
            }
        }
    }

    private static func markFields(named name: UnsafeRawBufferPointer, in memory: HeadMemory) {
        for index in 0..<memory.fieldCount {
            let field = memory.fields[index]
            guard Int(field.nameCount) == name.count, field.known.obeysNomination else { continue }
            if TokenList.areSame(memory.slice(Int(field.name), name.count), name) { memory.fields[index].isNominated = true }
        }
    }
}
