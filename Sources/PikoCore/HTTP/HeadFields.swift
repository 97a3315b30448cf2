// SPDX-License-Identifier: MIT
// The memory of one head: a copy of its bytes and where its fields are in them. Reused head after head by the connection that
// owns it; one thread at a time. Nothing here judges: HeadCursor fills it, RequestHead and ResponseHead give it meaning.

/// Bounds of a head. Over one of them: a fault with status 431.
public struct HeadLimits: Sendable {
    /// Bytes of the whole head, its empty line included. At most 16 MiB.
    public var bytes: Int
    /// Field lines. At most 1024.
    public var fields: Int

    public init(bytes: Int = 1 << 20, fields: Int = 128) {
        precondition(bytes > 0 && bytes <= 1 << 24 && fields > 0 && fields <= 1024, "HeadLimits: out of range")
        self.bytes = bytes
        self.fields = fields
    }
}

/// One field line, as offsets into the head. Ends where the next line starts.
struct HeadField {
    var name: UInt32
    var nameCount: UInt16
    var known: KnownField
    /// Nominated by Connection and willing to go (KnownField.obeysNomination).
    var isNominated: Bool
    var value: UInt32
    var valueCount: UInt32
}

/// The copied bytes of one head and its field table. Every range handed out is valid until the next parse, `release` or
/// deinit. Its properties are read for each field: the run-time exclusivity check would cost as much as the parsing. None is
/// ever passed inout.
final class HeadMemory {
    @exclusivity(unchecked) private(set) var bytes: UnsafeMutableRawPointer
    @exclusivity(unchecked) private(set) var count = 0
    @exclusivity(unchecked) private(set) var fields: UnsafeMutablePointer<HeadField>
    @exclusivity(unchecked) var fieldCount = 0
    /// Where the first field line starts and where the empty line starts.
    @exclusivity(unchecked) var fieldsStart = 0
    @exclusivity(unchecked) var fieldsEnd = 0
    @exclusivity(unchecked) private var byteCapacity: Int
    @exclusivity(unchecked) private(set) var fieldCapacity: Int

    private static let smallBytes = 2048
    private static let smallFields = 32

    init() {
        byteCapacity = HeadMemory.smallBytes
        fieldCapacity = HeadMemory.smallFields
        bytes = .allocate(byteCount: byteCapacity, alignment: 8)
        fields = .allocate(capacity: fieldCapacity)
    }

    deinit {
        bytes.deallocate()
        fields.deallocate()
    }

    /// Forgets the last head and copies this one.
    func take(_ head: UnsafeRawBufferPointer) {
        clear()
        if head.count > byteCapacity { growBytes(to: head.count) }
        if let start = head.baseAddress { bytes.copyMemory(from: start, byteCount: head.count) }
        count = head.count
    }

    func clear() {
        count = 0
        fieldCount = 0
        fieldsStart = 0
        fieldsEnd = 0
    }

    /// Forgets the last head and gives back what an unusually large one needed.
    func release() {
        clear()
        if byteCapacity > HeadMemory.smallBytes { growBytes(to: HeadMemory.smallBytes) }
        if fieldCapacity > HeadMemory.smallFields { resizeFields(to: HeadMemory.smallFields) }
    }

    @inline(__always)
    func append(_ field: HeadField) {
        if fieldCount == fieldCapacity { resizeFields(to: fieldCapacity &* 2) }
        (fields + fieldCount).initialize(to: field)
        fieldCount &+= 1
    }

    /// Where line `index` ends: behind its CRLF.
    @inline(__always)
    func lineEnd(_ index: Int) -> Int {
        index &+ 1 < fieldCount ? Int(fields[index &+ 1].name) : fieldsEnd
    }

    @inline(__always)
    func slice(_ start: Int, _ length: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: bytes + start, count: length)
    }

    @inline(__always)
    func value(at index: Int) -> UnsafeRawBufferPointer {
        slice(Int(fields[index].value), Int(fields[index].valueCount))
    }

    private func growBytes(to capacity: Int) {
        bytes.deallocate()
        bytes = .allocate(byteCount: capacity, alignment: 8)
        byteCapacity = capacity
    }

    private func resizeFields(to capacity: Int) {
        let larger = UnsafeMutablePointer<HeadField>.allocate(capacity: capacity)
        larger.moveInitialize(from: fields, count: fieldCount)
        fields.deallocate()
        fields = larger
        fieldCapacity = capacity
    }
}

/// The fields of a parsed head, in the order they came. A view: valid until the head is parsed again, released or gone.
public struct HeadFields {
    let memory: HeadMemory

    public var count: Int { memory.fieldCount }

    /// Field `index`, 0 to count: its name as it was sent and its value without the spaces around it.
    public subscript(index: Int) -> (name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        precondition(index >= 0 && index < memory.fieldCount, "HeadFields: index out of range")
        let field = memory.fields[index]
        return (memory.slice(Int(field.name), Int(field.nameCount)), memory.value(at: index))
    }

    /// What field `index` is to Piko.
    public func known(_ index: Int) -> KnownField {
        precondition(index >= 0 && index < memory.fieldCount, "HeadFields: index out of range")
        return memory.fields[index].known
    }

    /// The first value of a field, or nil where it was not sent. Never ask for `other`.
    public func value(of known: KnownField) -> UnsafeRawBufferPointer? {
        for index in 0..<memory.fieldCount where memory.fields[index].known == known { return memory.value(at: index) }
        return nil
    }

    /// The first value of a field by its name, given in lower case, letters compared in either case.
    public func value(named name: StaticString) -> UnsafeRawBufferPointer? {
        let wanted = name.utf8CodeUnitCount
        for index in 0..<memory.fieldCount {
            let field = memory.fields[index]
            if Int(field.nameCount) != wanted { continue }
            if ByteClass.spells(memory.bytes + Int(field.name), wanted, name) { return memory.value(at: index) }
        }
        return nil
    }
}
