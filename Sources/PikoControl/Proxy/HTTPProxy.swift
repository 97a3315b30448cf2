// SPDX-License-Identifier: MIT
// The HTTP/1 proxy of one loop, at either end of a tunnel: its rules, its connections, and the memory that they share. Loop-confined.
// What a connection does is in ProxyConnection; what a request means is in PikoCore.

import PikoCore
import PikoEngine

/// Proxies HTTP for the connections it is given. One per loop, on an agent one per listener and loop.
public final class HTTPProxy {
    @exclusivity(unchecked) public private(set) var settings: HTTPProxySettings
    public let loop: EventLoop
    /// Index of the loop within the process.
    public let index: Int
    public let provider: any UpstreamProvider
    let log: Log
    let metrics: ProxyMetrics?
    let accessLog: AccessLog?
    /// Takes TCP clients; nil: there are none here. Held until `abortAll`: a weak reference would make every other one to it slow.
    public var tcpTunnels: (any TCPTunnelHook)?
    /// Takes the sessions of other nodes; nil: there are none here.
    var memberSessions: MemberSessions?
    /// The loop of each tunnel of an endpoint on this node; nil: nobody wants to know.
    var loops: ((_ endpoint: String, _ isHostName: Bool) -> [Int])?
    /// Who may say that it forwards for others; nil: nobody.
    public var membership: Membership?
    /// Who may send how many requests; nil: anybody any number.
    @exclusivity(unchecked) public var rates: ClientRates?
    /// Who is let in; nil: everybody.
    var gate: TokenGate?
    /// What long heads may take, together with those of the process's other proxies.
    var heads = ByteBudget(bytes: HTTPProxy.mostHeads)
    /// On the loop's clock, about `heads`.
    var lastComplaint: UInt64 = 0
    /// Sends a connection to the proxy of another loop, which gives it to `land`. False: that loop has ended. nil: nothing ever moves.
    public var moveAway: ((MovingConnection, ProxyArrival, _ loop: Int) -> Bool)?
    /// A connection given to `serve` has ended, on whichever loop it was by then.
    public var onConnectionEnd: (() -> Void)?

    /// Finishes what runs and takes nothing new.
    public private(set) var isDraining = false
    /// Whoever still arrives from another loop is cut, too.
    private var isCut = false
    private var connections: [ProxyConnection] = []
    /// Members' connections kept open for their next request although this node leaves (ProxyConnection.drain).
    var waitingMembers = 0
    private(set) lazy var wheel = DeadlineWheel<ProxyConnection>(loop: loop)

    // Shared by the connections of the loop: each is used within one call only.
    let requestHead: RequestHead
    let responseHead: ResponseHead
    let writer = HeadWriter()
    var date = HTTPDate()
    let pathPrefix: UnsafeRawBufferPointer
    /// What requests in flight hold; returned when their response begins.
    private var messages: [HeadWriter] = []

    public init(
        _ settings: HTTPProxySettings, loop: EventLoop, index: Int, provider: any UpstreamProvider,
        log: Log, metrics: ProxyMetrics?, accessLog: AccessLog?
    ) {
        self.settings = settings
        self.loop = loop
        self.index = index
        self.provider = provider
        self.log = log
        self.metrics = metrics
        self.accessLog = accessLog
        requestHead = RequestHead(limits: settings.headLimits)
        responseHead = ResponseHead(limits: settings.headLimits)
        let prefix = UnsafeMutableRawBufferPointer.allocate(byteCount: settings.pathPrefix.utf8.count, alignment: 1)
        prefix.copyBytes(from: settings.pathPrefix.utf8)
        pathPrefix = UnsafeRawBufferPointer(prefix)
    }

    deinit { pathPrefix.deallocate() }

    /// Other limits and times, for what begins from now on. Role and path prefix stay.
    public func configure(_ settings: HTTPProxySettings) {
        precondition(settings.role == self.settings.role && settings.pathPrefix == self.settings.pathPrefix, "they are made once")
        self.settings = settings
        requestHead.limits = settings.headLimits
        responseHead.limits = settings.headLimits
    }

    /// Takes over an open connection: becomes its handler.
    public func serve(_ connection: Connection) {
        add(ProxyConnection(connection, proxy: self)).start()
    }

    /// Takes over a stream that a member has opened in its session with this loop.
    func serveStream(ofMember stream: Connection) {
        let connection = add(ProxyConnection(stream, proxy: self))
        connection.isOfSession = true
        connection.start()
    }

    /// Takes over a connection that comes from another loop.
    public func land(_ moving: MovingConnection, _ arrival: ProxyArrival) {
        guard !isCut else {
            onConnectionEnd?()
            return
        }
        let landed = ProxyConnection(nil, proxy: self)
        do throws(EngineError) {
            let connection = try moving.land(on: loop, handler: landed)
            add(landed).land(connection, arrival)
        } catch {
            log.warn("connection lost on its way to another loop") { $0.add("error", error.description) }
            onConnectionEnd?()
        }
    }

    /// Takes over a connection of this loop whose request was read by this proxy before.
    func takeBack(_ connection: Connection, _ request: CarriedRequest) {
        let arrival = ProxyArrival(selected: nil, moves: 0, requestsServed: 1, clientEnded: false, request: request)
        let returned = add(ProxyConnection(nil, proxy: self))
        connection.handler = returned
        returned.land(connection, arrival)
    }

    /// The node behind a pool is gone: what waits for its answer is given up, to be sent elsewhere where that may be.
    func giveUp(on pool: ConnectionPool) {
        for connection in connections { connection.giveUp(on: pool) }
    }

    /// Clients that have sent a first request so far; other nodes do not count, which know by themselves when this one leaves.
    public internal(set) var arrivals: UInt64 = 0

    /// From now on every response says that its connection ends. A connection without a request ends after a while
    /// (HTTPProxySettings.drainIdleTimeout): its client may be sending one.
    public func drain() {
        isDraining = true
        for connection in connections { connection.drain() }
    }

    /// Cuts all connections.
    public func abortAll() {
        isDraining = true
        tcpTunnels = nil
        memberSessions = nil
        isCut = true
        for connection in connections { connection.cut() }
    }

    /// Connections that have not closed yet.
    public var connectionCount: Int { connections.count }
    /// Those that clients have something to do with: without members' that wait for a request while this node leaves.
    public var busyCount: Int { connections.count - waitingMembers }
    /// Those of them that carry another protocol by now.
    public var upgradedCount: Int { connections.count { $0.isUpgraded } }
    /// Those of them that wait for a client's request, or for its end.
    public var idleCount: Int { connections.count { $0.isAtRest } }
}

// MARK: For its connections

extension HTTPProxy {
    private func add(_ connection: ProxyConnection) -> ProxyConnection {
        connection.place = connections.count
        connections.append(connection)
        return connection
    }

    func remove(_ connection: ProxyConnection) {
        wheel.remove(connection)
        connection.stopAwaitingMember()
        let last = connections.removeLast()
        guard last !== connection else { return }
        last.place = connection.place
        connections[connection.place] = last
    }

    func takeMessage() -> HeadWriter { messages.popLast() ?? HeadWriter() }

    func giveBack(_ message: HeadWriter) {
        message.release()
        if messages.count < 256 { messages.append(message) }
    }
}
