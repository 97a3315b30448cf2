// SPDX-License-Identifier: MIT
// The deadlines of all connections of a proxy behind one timer of the loop. A deadline that moves later costs nothing: its holder is looked at
// when the earlier one would have come, and put where it belongs now. Loop-confined.

import PikoEngine

/// Something with a deadline.
protocol DeadlineHolder: AnyObject {
    /// Milliseconds of the loop's clock; `.max`: none. Tell the wheel with `schedule` when it moves earlier.
    var deadline: UInt64 { get }
    /// The wheel's own note of where it keeps this holder.
    var wheelPlace: WheelPlace { get set }
    func deadlineDidPass()
}

/// Where a holder is kept.
struct WheelPlace {
    /// The tick at which it is looked at; `.max`: it is not kept.
    var tick = UInt64.max
    var index = 0
}

/// Calls holders within one tick after their deadlines. Holds them until `remove`, or until looked at without a deadline.
final class DeadlineWheel<Holder: DeadlineHolder> {
    /// Milliseconds.
    private let tickLength: UInt64 = 32
    private let loop: EventLoop
    private var slots: [[Holder]]
    private var visiting: [Holder] = []
    private var timer: Timer?
    /// The last tick looked at, and the next one the timer is armed for.
    private var visited: UInt64
    private var armed = UInt64.max

    init(loop: EventLoop, slots: Int = 256) {
        self.loop = loop
        self.slots = Array(repeating: [], count: slots)
        visited = loop.now / tickLength
        timer = Timer(on: loop) { [unowned self] in visit() }
    }

    /// Takes note of a holder's deadline. Cheap when it only moved later.
    @inline(__always)
    func schedule(_ holder: Holder) {
        let place = holder.wheelPlace
        if place.tick != .max ? place.tick &* tickLength > holder.deadline : holder.deadline != .max { put(holder) }
    }

    /// Lets go of a holder.
    func remove(_ holder: Holder) {
        let place = holder.wheelPlace
        guard place.tick != .max else { return }
        holder.wheelPlace = WheelPlace()
        let slot = slotIndex(place.tick)
        let last = slots[slot].removeLast()
        guard last !== holder else { return }
        last.wheelPlace.index = place.index
        slots[slot][place.index] = last
    }

    private func slotIndex(_ tick: UInt64) -> Int { Int(tick % UInt64(slots.count)) }

    private func put(_ holder: Holder) {
        remove(holder)
        let base = max(visited, loop.now / tickLength)
        let due = holder.deadline / tickLength + 1
        let tick = min(max(due, base + 1), base + UInt64(slots.count) - 1)
        let slot = slotIndex(tick)
        holder.wheelPlace = WheelPlace(tick: tick, index: slots[slot].count)
        slots[slot].append(holder)
        if tick < armed { arm(tick) }
    }

    private func arm(_ tick: UInt64) {
        armed = tick
        let time = tick * tickLength
        timer?.arm(time > loop.now ? time - loop.now : 0)
    }

    /// Looks at all holders whose tick has come.
    private func visit() {
        armed = .max
        let now = loop.now
        let tick = now / tickLength
        let first = max(visited + 1, tick >= UInt64(slots.count) ? tick - UInt64(slots.count) + 1 : 0)
        if first <= tick {
            for each in first...tick { visit(slotIndex(each), at: now, tick) }
        }
        rearm(after: tick)
    }

    private func visit(_ slot: Int, at now: UInt64, _ tick: UInt64) {
        guard !slots[slot].isEmpty else { return }
        swap(&slots[slot], &visiting)
        for holder in visiting { holder.wheelPlace = WheelPlace() }
        visited = max(visited, tick)
        for holder in visiting {
            if holder.deadline <= now { holder.deadlineDidPass() }
            schedule(holder)
        }
        visiting.removeAll(keepingCapacity: true)
    }

    private func rearm(after tick: UInt64) {
        visited = max(visited, tick)
        for next in (visited + 1)..<(visited + UInt64(slots.count)) where !slots[slotIndex(next)].isEmpty {
            if next < armed { arm(next) }
            return
        }
    }
}
