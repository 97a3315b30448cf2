// SPDX-License-Identifier: MIT
// Who is judged when, who finds no room, and who leaves.
// Values only.

import Testing

@testable import PikoCore

struct OpenQuestionsTests {
    private func all(_ questions: inout OpenQuestions<String>) -> [String] {
        var seen: [String] = []
        while let next = questions.next() { seen.append(next.question + (next.isLast ? "!" : "")) }
        return seen
    }

    @Test("questions: they are judged once each in the order in which they came; beyond the bound there is no room until one is closed")
    func order() throws {
        var questions = OpenQuestions<String>(mostInLine: 2, mostWaiting: 2)
        let added = questions.add("a")
        let first = try #require(added)
        #expect(questions.add("b") != nil && questions.add("c") == nil)
        #expect(all(&questions) == ["a", "b"])
        #expect(questions.add("c") == nil, "who is being judged is in line still")
        #expect(questions.close(first) == "a" && questions.close(first) == nil)
        #expect(questions.add("c") != nil && questions.countInLine == 2)
        #expect(all(&questions) == ["c"])
    }

    @Test("questions: who is withdrawn is judged no more, makes room at once, and gets no answer")
    func withdrawn() {
        var questions = OpenQuestions<String>(mostInLine: 3, mostWaiting: 1)
        let numbers = ["a", "b", "c"].compactMap { questions.add($0) }
        questions.withdraw(numbers[1])
        #expect(questions.countInLine == 2 && questions.add("d") != nil)
        #expect(questions.next()?.question == "a")
        questions.withdraw(numbers[0])
        #expect(questions.close(numbers[0]) == nil && !questions.hold(numbers[0]) && !questions.hasWaiting)
        #expect(all(&questions) == ["c", "d"])
        for _ in 0..<10_000 { if let number = questions.add("e") { questions.withdraw(number) } }
        #expect(questions.countInLine == 2 && all(&questions) == [])
    }

    @Test("questions: who waits is out of the line, is judged a last time in order, and in front of who came later")
    func waiting() {
        var questions = OpenQuestions<String>(mostInLine: 3, mostWaiting: 2)
        let numbers = ["a", "b", "c"].compactMap { questions.add($0) }
        #expect(all(&questions) == ["a", "b", "c"])
        #expect(questions.hold(numbers[1]) && questions.hold(numbers[0]) && !questions.hold(numbers[2]))
        #expect(questions.hasWaiting && questions.countInLine == 1 && questions.close(numbers[2]) == "c")
        #expect(questions.next() == nil && questions.add("d") != nil)
        questions.release()
        #expect(!questions.hasWaiting && all(&questions) == ["a!", "b!", "d"])
        questions.putBack(numbers[0])
        #expect(all(&questions) == ["a"])
    }

    @Test("questions: who is withdrawn while it waits makes room for another")
    func withdrawnWaiting() {
        var questions = OpenQuestions<String>(mostInLine: 2, mostWaiting: 1)
        let numbers = ["a", "b"].compactMap { questions.add($0) }
        #expect(all(&questions) == ["a", "b"])
        #expect(questions.hold(numbers[0]) && !questions.hold(numbers[1]))
        questions.withdraw(numbers[0])
        let isHeld = questions.hold(numbers[1])
        #expect(isHeld)
        questions.release()
        #expect(all(&questions) == ["b!"])
    }
}
