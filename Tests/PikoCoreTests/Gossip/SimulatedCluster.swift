// SPDX-License-Identifier: MIT
// A cluster in memory for the tests of Gossip: virtual milliseconds, a seeded network that loses, delays, repeats and reorders packets,
// partitions, kills, restarts. No sockets and no clock. Packets go as values, each checked against the limit; joins as bytes.

@testable import PikoCore

struct SimulatedCluster {
    struct Network {
        var loss = 0.0
        var repeats = 0.0
        var delay: ClosedRange<UInt64> = 1...5
        /// Packets go as bytes too: slower.
        var asBytes = false
    }

    struct Node {
        let id: String
        var address: String
        var gossip: Gossip?
        var view: ClusterView
        var isFrozen = false
        /// What happened while it was frozen.
        var backlog: [GossipEvent] = []
        var group = 0
        /// The endpoints it has: what all should believe of it.
        var truth: [String: Int] = [:]
        /// Grows with each life, to tell a reply to an earlier one.
        var life = 0
        var seeds: [String]
        /// Under keys its packets and connections are sealed.
        var keys: [any GossipSharedKey] = []
        var packets: SealedPackets?
    }

    private enum Happening {
        case event(node: Int, life: Int?, from: Int, GossipEvent)
        /// Where sender or receiver has keys.
        case datagram(node: Int, from: Int, [UInt8])
        case call(from: Int, life: Int, address: String, [UInt8], isJoin: Bool)
        case reply(to: Int, life: Int, from: Int, address: String, [UInt8])
    }

    var network: Network
    private(set) var now: UInt64 = 1_000
    var nodes: [Node] = []
    private var addresses: [String: Int] = [:]
    private var pending: [UInt64: [Happening]] = [:]
    var random: GossipRandom
    private(set) var largestPacket = 0
    /// Called with each change a node names.
    var onChange: ((_ observer: Int, _ now: UInt64, ClusterChange) -> Void)?
    var interval: UInt64 = 100
    /// Called with each packet that goes under keys.
    var onDatagram: ((_ from: Int, _ to: Int, [UInt8]) -> Void)?
    /// Pairs that cannot reach each other, the lower first.
    var cuts: Set<[Int]> = []

    init(_ count: Int, seed: UInt64, network: Network = Network(), interval: UInt64 = 100, endpoints: Int = 2) {
        self.network = network
        self.interval = interval
        random = GossipRandom(seed: seed)
        let seeds = (0..<min(3, count)).map { "10.0.0.\($0):8003" }
        for index in 0..<count {
            let address = "10.0.0.\(index):8003"
            nodes.append(Node(id: "node-\(index)", address: address, view: ClusterView(localID: "node-\(index)"), seeds: seeds))
            for endpoint in 0..<endpoints { nodes[index].truth["e\(endpoint)-\(index % 7)"] = 1 + index % 3 }
        }
    }

    // MARK: What happens to nodes

    /// Begins a life of a node.
    /// - Parameter hasClock: its versions are above those of earlier lives; without, it learns of them by hearsay.
    mutating func start(_ index: Int, hasClock: Bool = true, address: String? = nil) {
        precondition(nodes[index].gossip == nil)
        addresses[nodes[index].address] = nil
        if let address { nodes[index].address = address }
        addresses[nodes[index].address] = index
        let settings = GossipSettings(
            peer: GossipPeer(id: nodes[index].id, address: nodes[index].address), proxyAddress: "p\(index):8000",
            adminAddress: "a\(index):8002", interval: interval, versionBase: hasClock ? (1_700_000_000_000 + now) * 1000 : 0,
            envelope: nodes[index].keys.isEmpty ? 0 : GossipEnvelope.packetSize)
        beginSealing(index)
        nodes[index].gossip = Gossip(settings, random: GossipRandom(seed: random.next()), now: now)
        nodes[index].view = ClusterView(localID: nodes[index].id)
        nodes[index].life += 1
        nodes[index].isFrozen = false
        nodes[index].backlog = []
        for (endpoint, count) in nodes[index].truth.sorted(by: { $0.key < $1.key }) {
            handle(index, .listeners(endpoint: endpoint, count))
        }
        handle(index, .tick)
    }

    private mutating func beginSealing(_ index: Int) {
        let keys = nodes[index].keys
        guard !keys.isEmpty else { return nodes[index].packets = nil }
        nodes[index].packets = SealedPackets(keys, life: randomBytes(), epoch: random.next(), now: now)
    }

    /// Other keys for a node that runs.
    mutating func use(_ index: Int, keys: [any GossipSharedKey]) {
        nodes[index].keys = keys
        nodes[index].packets?.use(keys)
    }

    private mutating func randomBytes() -> [UInt8] { PacketEnvelope.bytes(random.next(), 8) + PacketEnvelope.bytes(random.next(), 8) }

    /// A packet that somebody sends from anywhere.
    mutating func inject(_ bytes: [UInt8], into node: Int, as from: Int) { receive(bytes, node, from) }

    mutating func startAll(hasClock: Bool = true) {
        for index in nodes.indices { start(index, hasClock: hasClock) }
    }

    mutating func kill(_ index: Int) { nodes[index].gossip = nil }

    mutating func freeze(_ index: Int) { nodes[index].isFrozen = true }

    mutating func thaw(_ index: Int) {
        nodes[index].isFrozen = false
        let backlog = nodes[index].backlog
        nodes[index].backlog = []
        handle(index, .tick)
        for event in backlog { handle(index, event) }
    }

    mutating func set(_ index: Int, _ endpoint: String, _ count: Int) {
        nodes[index].truth[endpoint] = count > 0 ? count : nil
        if nodes[index].gossip != nil { handle(index, .listeners(endpoint: endpoint, count)) }
    }

    /// Hands a node an event from outside of the cluster.
    mutating func hand(_ index: Int, _ event: GossipEvent) { handle(index, event) }

    mutating func leave(_ index: Int) { handle(index, .leave) }

    // MARK: Time

    mutating func run(_ milliseconds: UInt64) {
        for _ in 0..<milliseconds { step() }
    }

    /// Runs until the condition holds, looked at every 50 ms; returns how long it took, nil when it took longer.
    mutating func run(until limit: UInt64, _ condition: (SimulatedCluster) -> Bool) -> UInt64? {
        let start = now
        while !condition(self) {
            if now - start >= limit { return nil }
            run(50)
        }
        return now - start
    }

    private mutating func step() {
        now += 1
        guard let due = pending.removeValue(forKey: now) else { return }
        for happening in due { take(happening) }
    }

    private mutating func take(_ happening: Happening) {
        switch happening {
        case .event(let node, let life, let from, let event):
            guard life == nil || life == nodes[node].life, connected(from, node) else { return }
            if case .tick = event, let next = nodes[node].gossip?.nextTick, next > now { return }
            handle(node, event)
        case .datagram(let node, let from, let bytes):
            if connected(from, node) { receive(bytes, node, from) }
        case .call(let from, let life, let address, let bytes, let isJoin):
            call(from, life, address, bytes, isJoin: isJoin)
        case .reply(let to, let life, let from, let address, let bytes):
            guard life == nodes[to].life else { return }
            let isThere = connected(from, to) && !bytes.isEmpty
            handle(to, isThere ? .joinReply(bytes[...], from: address) : .joinFailed(address: address))
        }
    }

    private mutating func call(_ from: Int, _ life: Int, _ address: String, _ bytes: [UInt8], isJoin: Bool) {
        var answer: [UInt8] = []
        if let index = addresses[address], connected(from, index), !nodes[index].isFrozen, nodes[index].gossip != nil {
            answer = converse(from, index, bytes)
            if isJoin { later(.reply(to: from, life: life, from: index, address: address, answer), after: 3) }
        } else if isJoin {
            later(.reply(to: from, life: life, from: from, address: address, []), after: 500)
        }
    }

    /// Question and answer over a connection, sealed at the ends that have keys. Empty where they do not understand each other.
    private mutating func converse(_ from: Int, _ index: Int, _ bytes: [UInt8]) -> [UInt8] {
        let ends = (nodes[from].keys, nodes[index].keys)
        var answer: [UInt8] = []
        if ends.0.isEmpty, ends.1.isEmpty {
            handle(index, .request(bytes[...])) { answer = $0 }
            return answer
        }
        guard !ends.0.isEmpty, !ends.1.isEmpty else { return [] }
        var asking = SealedExchange(asking: bytes, keys: ends.0, random: randomBytes())
        var answering = SealedExchange(answeringWith: ends.1, random: randomBytes())
        guard let greeting = sent(answering.receive(asking.opening)), let question = sent(asking.receive(greeting)),
            let text = text(answering.receive(question))
        else { return [] }
        handle(index, .request(text[...])) { answer = $0 }
        return answer.isEmpty ? [] : self.text(asking.receive(answering.answer(answer))) ?? []
    }

    private func sent(_ steps: [SealedExchange.Step]) -> [UInt8]? {
        for case .send(let bytes) in steps { return bytes }
        return nil
    }

    private func text(_ steps: [SealedExchange.Step]) -> [UInt8]? {
        var all: [UInt8] = []
        for case .text(let text, let isLast) in steps {
            all += text
            if isLast { return all }
        }
        return nil
    }

    private mutating func receive(_ bytes: [UInt8], _ node: Int, _ from: Int) {
        guard nodes[node].gossip != nil, !nodes[node].isFrozen else { return }
        let source = nodes[from].address
        guard nodes[node].packets != nil else { return handle(node, .packet(bytes[...], from: source)) }
        switch nodes[node].packets!.open(bytes[...], now: now) {
        case .message(let message): handle(node, .message(message, from: source))
        case .answer(let packet, _): carry(packet, from: node, to: source)
        case .held(let packet, let address): carry(packet, from: node, to: address)
        case .rejected(let reason): handle(node, .rejected(reason, from: source))
        case .nothing: break
        }
    }

    private mutating func handle(_ index: Int, _ event: GossipEvent, answer: (([UInt8]) -> Void)? = nil) {
        guard nodes[index].gossip != nil else { return }
        if nodes[index].isFrozen {
            if case .message = event, nodes[index].backlog.count < 100 { nodes[index].backlog.append(event) }
            return
        }
        let directives = nodes[index].gossip!.handle(event, now: now)
        for directive in directives { carryOut(directive, of: index, answer) }
        if case .tick = event, let next = nodes[index].gossip?.nextTick {
            later(.event(node: index, life: nodes[index].life, from: index, .tick), after: max(next, now + 1) - now)
        }
    }

    private mutating func carryOut(_ directive: GossipDirective, of index: Int, _ answer: (([UInt8]) -> Void)?) {
        switch directive {
        case .send(let message, let address): send(message, from: index, to: address)
        case .join(let bytes, let address):
            later(.call(from: index, life: nodes[index].life, address: address, bytes, isJoin: true), after: 3)
        case .leave(let bytes, let address):
            later(.call(from: index, life: nodes[index].life, address: address, bytes, isJoin: false), after: 3)
        case .answer(let bytes): answer?(bytes)
        case .resolveSeeds:
            later(.event(node: index, life: nodes[index].life, from: index, .seeds(nodes[index].seeds)), after: 1)
        case .change(let change):
            nodes[index].view.apply(change)
            onChange?(index, now, change)
        case .log: break
        }
    }

    private mutating func send(_ message: GossipMessage, from: Int, to address: String) {
        largestPacket = max(largestPacket, GossipSize.packet(message))
        guard let to = addresses[address], chance() >= network.loss else { return }
        let source = nodes[from].address
        if nodes[from].packets != nil || nodes[to].packets != nil {
            let bytes = message.bytes
            return carry(nodes[from].packets?.seal(bytes, to: address, now: now) ?? bytes, from: from, to: address)
        }
        let event = network.asBytes ? GossipEvent.packet(message.bytes[...], from: source) : .message(message, from: source)
        for _ in 0..<(network.repeats > 0 && chance() < network.repeats ? 2 : 1) {
            let delay = network.delay.lowerBound + random.next() % (network.delay.upperBound - network.delay.lowerBound + 1)
            later(.event(node: to, life: nil, from: from, event), after: delay)
        }
    }

    private mutating func carry(_ bytes: [UInt8], from: Int, to address: String) {
        largestPacket = max(largestPacket, bytes.count)
        guard let to = addresses[address] else { return }
        onDatagram?(from, to, bytes)
        for _ in 0..<(network.repeats > 0 && chance() < network.repeats ? 2 : 1) {
            let delay = network.delay.lowerBound + random.next() % (network.delay.upperBound - network.delay.lowerBound + 1)
            later(.datagram(node: to, from: from, bytes), after: delay)
        }
    }

    private mutating func later(_ happening: Happening, after delay: UInt64) {
        pending[now + max(delay, 1), default: []].append(happening)
    }

    private mutating func chance() -> Double { Double(random.next() >> 11) / Double(1 << 53) }

    private func connected(_ a: Int, _ b: Int) -> Bool {
        nodes[a].group == nodes[b].group && !cuts.contains([min(a, b), max(a, b)])
    }

    // MARK: What must hold

    /// Who believes what that is not so: for the message of a failure.
    var disagreements: [String] {
        living.flatMap { observer in
            nodes.indices.compactMap { subject in
                let seen = nodes[observer].view.node(nodes[subject].id)
                let state = nodes[observer].gossip?.state(nodes[subject].id)
                let isAlive = nodes[subject].gossip != nil
                if isAlive, seen?.status == .active, seen?.endpoints == nodes[subject].truth { return nil }
                if !isAlive, seen?.status != .active { return nil }
                return "\(observer) of \(subject): \(String(describing: seen)), knows \(String(describing: state)); true: \(nodes[subject].truth) at \(nodes[subject].address), version \(nodes[subject].gossip?.own.version ?? 0)"
            }
        }
    }

    var living: [Int] { nodes.indices.filter { nodes[$0].gossip != nil } }

    /// Every living node sees exactly the living nodes as active, with exactly the endpoints they have.
    static func isConverged(_ cluster: SimulatedCluster) -> Bool {
        let living = cluster.living
        return living.allSatisfy { observer in
            let view = cluster.nodes[observer].view
            let active = view.nodes.filter { $0.status == .active }
            guard active.count == living.count else { return false }
            return living.allSatisfy { view.node(cluster.nodes[$0].id)?.endpoints == cluster.nodes[$0].truth }
        }
    }
}
