// SPDX-License-Identifier: MIT
// The questions about tokens that have no answer yet: those in line to be judged, and those that wait until a key set was read. A value, any thread.
// Both have a bound, so that nobody's tokens take memory and time without end; who asks no more leaves at once.

/// Questions in the order in which they came, each with a number of its own.
public struct OpenQuestions<Question> {
    /// The next to be judged.
    public struct Next {
        public let number: UInt64
        public let question: Question
        /// It has waited for a key set: that it is still unknown is the answer.
        public let isLast: Bool
    }

    private let mostInLine: Int
    private let mostWaiting: Int
    private var open: [UInt64: Question] = [:]
    private var waiting: Set<UInt64> = []
    /// Those judged before, in front of the line; the next one is last.
    private var again: [(number: UInt64, isLast: Bool)] = []
    /// Of the line: the next to be judged, and the next to come.
    private var first: UInt64 = 0
    private var end: UInt64 = 0

    public init(mostInLine: Int, mostWaiting: Int) {
        self.mostInLine = mostInLine
        self.mostWaiting = mostWaiting
    }

    public var hasWaiting: Bool { !waiting.isEmpty }
    /// Those in line, with the one that is being judged.
    public var countInLine: Int { open.count - waiting.count }

    /// Takes its place at the end of the line. nil: there is no room.
    public mutating func add(_ question: Question) -> UInt64? {
        guard countInLine < mostInLine else { return nil }
        defer { end += 1 }
        open[end] = question
        return end
    }

    /// The next in line. It is there until it was answered or withdrawn, or waits; it comes once.
    public mutating func next() -> Next? {
        while let (number, isLast) = again.popLast() {
            if let question = open[number] { return Next(number: number, question: question, isLast: isLast) }
        }
        while first < end {
            defer { first += 1 }
            if let question = open[first] { return Next(number: first, question: question, isLast: false) }
        }
        return nil
    }

    /// It was judged: nobody asks any more. nil: it was withdrawn meanwhile.
    public mutating func close(_ number: UInt64) -> Question? {
        waiting.remove(number)
        return open.removeValue(forKey: number)
    }

    /// It leaves the line and waits. False: there is no room, or it was withdrawn meanwhile.
    public mutating func hold(_ number: UInt64) -> Bool {
        guard waiting.count < mostWaiting, open[number] != nil else { return false }
        waiting.insert(number)
        return true
    }

    /// It is judged once more.
    public mutating func putBack(_ number: UInt64) { again.append((number, isLast: false)) }

    /// Those that wait are judged for the last time, in the order in which they came.
    public mutating func release() {
        again += waiting.sorted(by: >).map { ($0, isLast: true) }
        waiting = []
    }

    /// Nobody waits for its answer any more.
    public mutating func withdraw(_ number: UInt64) { _ = close(number) }
}
