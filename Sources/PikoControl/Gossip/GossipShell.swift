// SPDX-License-Identifier: MIT
// Gossip among real nodes: hands packets, requests, replies and time to the Gossip value and does what it says. Lives on the control loop;
// the view that all loops share is changed here and nowhere else. It decides nothing: PikoCore/Gossip does.

import Glibc
import PikoCore
import PikoEngine

/// What a node's gossip is told at its start.
struct GossipStart {
    var id: String
    /// What others are told: "host:port" each.
    var proxyAddress: String
    var adminAddress: String
    var gossipAddress: String
    var cluster: ClusterConfiguration
}

/// This node's part in its cluster. Loop-confined to the control loop.
final class GossipShell {
    private let loop: EventLoop
    private let log: Log
    private let view: Cluster
    private let port: GossipPort
    private let routes: GossipRoutes
    private var gossip: Gossip
    /// nil without keys.
    private var sealing: GossipSealing?
    private var packets: SealedPackets?
    private var progress: JoinProgress
    private var seeds: SeedLookup?
    private var timer: Timer?
    private var inbound: [ObjectIdentifier: Inbound] = [:]
    private let dials = UnfinishedDials(limit: inboundLimit)
    private var calls: [UInt64: GossipCall] = [:]
    private var nextCall: UInt64 = 0
    private let budget = ByteBudget(bytes: 64 << 20)
    private var leaving: Set<UInt64> = []
    private var leaveTimer: Timer?
    private var onLeft: [() -> Void] = []
    private var watchers: [(ClusterChange) -> Void] = []
    private var isEnded = false
    /// Called once each: the node may be called ready; no node could be joined in time.
    private var onReady: (() -> Void)?
    private var onFailure: (() -> Void)?

    /// A connection of another node, and its number among the dials.
    private struct Inbound {
        let stream: GossipStream
        let dial: UInt64
    }

    /// Inbound connections at once. Beyond, the oldest gives way if it has had its time, else the new one is refused.
    private static let inboundLimit = 128
    /// Milliseconds that a leave may take.
    private static let leavePatience: UInt64 = 1_000

    /// Takes a bound port. Gossips from `run` on.
    init(_ start: GossipStart, port: GossipPort, view: Cluster, log: Log, on loop: EventLoop) {
        self.loop = loop
        self.log = log
        self.view = view
        self.port = port
        routes = GossipRoutes(loop: loop, lookups: view.lookups)
        sealing = GossipSealing(start.cluster.gossip.keys)
        packets = sealing?.packets(now: loop.now)
        let settings = GossipSettings(
            peer: GossipPeer(id: start.id, address: start.gossipAddress), proxyAddress: start.proxyAddress,
            adminAddress: start.adminAddress, interval: start.cluster.gossip.interval.wholeMilliseconds,
            maxPacketSize: start.cluster.gossip.maxPacketSize, versionBase: Self.microseconds(),
            envelope: sealing == nil ? 0 : GossipEnvelope.packetSize)
        var system = SystemRandomNumberGenerator()
        gossip = Gossip(settings, random: GossipRandom(seed: system.next()), now: loop.now)
        let names = start.cluster.seeds(defaultPort: port.address?.port ?? start.cluster.gossip.bindAddr.port)
        progress = JoinProgress(hasSeeds: !names.isEmpty, timeout: start.cluster.joinTimeout.wholeMilliseconds, now: loop.now)
        seeds = SeedLookup(names, on: loop) { [unowned self] in resolved($0) }
        timer = Timer(on: loop) { [unowned self] in tick() }
    }

    /// Since 1970: every life of a node writes versions above those of the one before.
    private static func microseconds() -> UInt64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return UInt64(clamping: now.tv_sec) &* 1_000_000 &+ UInt64(clamping: now.tv_nsec / 1000)
    }

    /// Begins to gossip. Both closures are called at most once, on the loop.
    /// - Parameters:
    ///   - onReady: the node has joined, or is the first or only one.
    ///   - onFailure: no node could be joined within `cluster.join_timeout`. It goes on trying.
    func run(onReady: @escaping () -> Void, onFailure: @escaping () -> Void) {
        self.onReady = onReady
        self.onFailure = onFailure
        port.onPacket = { [unowned self] in received($0, from: $1) }
        port.onConnection = { [unowned self] in accepted($0) }
        tick()
        judge()
    }

    /// `body` hears each change of the cluster, this node's own included, after the view has it.
    func watch(_ body: @escaping (ClusterChange) -> Void) { watchers.append(body) }

    // MARK: Events

    private func tick() {
        handle(.tick)
        if progress.outcome == .searching { judge() }
        if !isEnded { timer?.arm(gossip.nextTick > loop.now ? gossip.nextTick - loop.now : 0) }
    }

    private func handle(_ event: GossipEvent, answering stream: GossipStream? = nil) {
        guard !isEnded else { return }
        for directive in gossip.handle(event, now: loop.now) { carryOut(directive, stream) }
    }

    /// After this process stood still it is told so first: or it would blame others for its own silence.
    private func handleLate(_ event: GossipEvent, answering stream: GossipStream? = nil) {
        if loop.now > gossip.nextTick + gossip.settings.interval { handle(.tick) }
        handle(event, answering: stream)
    }

    private func received(_ bytes: UnsafeRawBufferPointer, from source: SocketAddress) {
        guard packets != nil else { return handleLate(.packet(Array(bytes)[...], from: source.description)) }
        switch packets?.open(Array(bytes)[...], now: loop.now) {
        case .message(let message): handleLate(.message(message, from: source.description))
        case .answer(let packet, let isGreeting):
            if !isGreeting { handle(.rejected(.stale, from: source.description)) }
            port.send(packet, to: source)
        case .held(let packet, let target):
            if let address = routes.address(of: target) { port.send(packet, to: address) }
        case .rejected(let reason): handle(.rejected(reason, from: source.description))
        case .nothing, nil: break
        }
    }

    private func send(_ message: GossipMessage, to target: String) {
        guard let address = routes.address(of: target) else { return }
        let bytes = message.bytes
        port.send(packets?.seal(bytes, to: target, now: loop.now) ?? bytes, to: address)
    }

    /// Other keys from now on: the first seals, any opens. Whether there are any at all stays as it was.
    func use(keys secrets: [GossipSecret]) {
        guard sealing != nil, let sealing = GossipSealing(secrets) else { return }
        self.sealing = sealing
        packets?.use(sealing.keys)
    }

    /// An endpoint of this node has so many tunnels now.
    func setListeners(_ changes: [String: Int]) {
        for (endpoint, count) in changes { handle(.listeners(endpoint: endpoint, count)) }
    }

    // MARK: Directives

    private func carryOut(_ directive: GossipDirective, _ stream: GossipStream?) {
        switch directive {
        case .send(let message, let target): send(message, to: target)
        case .join(let bytes, let target):
            call(bytes, target, .joinReply) { [unowned self] in replied($0, from: target) }
        case .leave(let bytes, let target): call(bytes, target, .leaveReply) { _ in }
        case .answer(let bytes): stream?.finish(with: bytes)
        case .resolveSeeds: seeds?.ask()
        case .change(let change): apply(change)
        case .log(let fact): log.write(fact)
        }
    }

    private func apply(_ change: ClusterChange) {
        view.apply(change)
        for watcher in watchers { watcher(change) }
    }

    // MARK: Joining

    private func resolved(_ answer: SeedLookup.Answer) {
        handle(.seeds(answer.addresses))
        let others = answer.fresh.filter { !gossip.isOwn($0) }
        progress.resolved(
            others: others, isListed: others.count < answer.fresh.count, isComplete: answer.isComplete, now: loop.now)
        judge()
    }

    private func replied(_ reply: [UInt8]?, from address: String) {
        if let reply {
            handleLate(.joinReply(reply[...], from: address))
        } else {
            handle(.joinFailed(address: address))
            log.debug("node did not answer") { $0.add("addr", address) }
            progress.missed(address, now: loop.now)
        }
        judge()
    }

    private func judge() {
        if gossip.isJoined || gossip.knowsOthers { progress.joined() }
        progress.judge(loop.now)
        if progress.isReady, let ready = onReady {
            onReady = nil
            ready()
        }
        if progress.outcome == .failed, let failure = onFailure {
            onFailure = nil
            failure()
        }
    }

    // MARK: Connections

    private func accepted(_ connection: Connection) {
        guard !isEnded, dials.room(at: loop.now) != .none else {
            handle(.rejected(.bound, from: connection.peerAddress?.description ?? ""))
            return connection.abort()
        }
        let exchange = sealing?.exchangeToAnswer()
        let stream = GossipStream(connection, expecting: .request, exchange: exchange, budget: budget) { [weak self] stream, bytes in
            if let self, !isEnded, let bytes { handleLate(.request(bytes[...]), answering: stream) } else { stream.abort() }
        } onClosed: { [weak self] in self?.leave($0) }
        let peer = stream.peer
        stream.onRejected = { [weak self] in self?.handle(.rejected($0, from: peer)) }
        let dial = dials.enter(at: loop.now) { [weak self] in
            self?.handle(.rejected(.bound, from: peer))
            stream.abort()
        }
        inbound[ObjectIdentifier(stream)] = Inbound(stream: stream, dial: dial)
    }

    private func leave(_ stream: GossipStream) {
        if let left = inbound.removeValue(forKey: ObjectIdentifier(stream)) { dials.leave(left.dial) }
    }

    private func call(
        _ message: [UInt8], _ target: String, _ expected: GossipStream.Expected, completion: @escaping ([UInt8]?) -> Void
    ) {
        nextCall += 1
        let number = nextCall
        calls[number] = GossipCall.start(message, to: target, expecting: expected, sealing: sealing, on: loop) { [weak self] in
            self?.handle(.rejected($0, from: target))
        } completion: { [unowned self] reply in
            completion(reply)
            callEnded(number)
        }
    }

    // MARK: Leaving

    /// Tells up to three nodes that this one leaves. It goes on answering, and passes on that it has left.
    /// - Parameter completion: runs once, in a later turn: when they have heard it, after a second at the latest, or not at all after `end`.
    func leave(completion: @escaping () -> Void) {
        onLeft.append(completion)
        leaving.formUnion(callsMade { handle(.leave) })
        leaveTimer = leaveTimer ?? Timer(on: loop) { [unowned self] in left() }
        leaveTimer?.arm(leaving.isEmpty ? 0 : Self.leavePatience)
    }

    private func callsMade(_ body: () -> Void) -> Set<UInt64> {
        let before = nextCall
        body()
        return Set(calls.keys.filter { $0 > before })
    }

    private func callEnded(_ number: UInt64) {
        calls[number] = nil
        if leaving.remove(number) != nil, leaving.isEmpty { left() }
    }

    private func left() {
        leaveTimer?.disarm()
        let waiting = onLeft
        onLeft = []
        for completion in waiting { completion() }
    }

    // MARK: For the admin API

    /// All nodes known, this one first.
    var nodes: [GossipNodeState] { gossip.nodes }
    func state(_ id: String) -> GossipNodeState? { gossip.state(id) }
    /// The keys of a node in version order; nil for an unknown one.
    func entries(_ id: String) -> [GossipEntry]? { gossip.entries(id) }
    var counters: GossipCounters { gossip.counters }
    /// Packets that could not be sent or came cut.
    var lostPackets: UInt64 { port.lost }
    /// Connections that no descriptor was left for.
    var exhausted: UInt64 { port.exhausted }

    /// Closes everything at once; nothing is called any more.
    func end() {
        isEnded = true
        timer = nil
        leaveTimer = nil
        seeds?.end()
        seeds = nil
        port.close()
        for each in Array(inbound.values) { each.stream.abort() }
        for call in Array(calls.values) { call.cancel() }
        calls = [:]
        watchers = []
        onLeft = []
        onReady = nil
        onFailure = nil
    }
}
