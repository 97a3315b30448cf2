// SPDX-License-Identifier: MIT
// A TCP listener's service: each stream is joined to a connection of its own.
// Loop-confined. Moves no byte itself.

import PikoClient
import PikoCore
import PikoEngine

/// Dials the service for every stream.
final class TCPService: AgentService {
    private let place: ConfiguredURL
    private let endpoint: String
    private var timeout: UInt64
    private let log: Log
    private let accessLog: Log
    /// nil: connections are not logged.
    private var accessLevel: LogLevel?
    private unowned let owner: AgentLoop

    init(_ configuration: ListenerConfiguration, place: ConfiguredURL, owner: AgentLoop) {
        self.place = place
        self.owner = owner
        endpoint = configuration.endpointID
        timeout = configuration.timeout.wholeMilliseconds
        accessLevel = Self.accessLevel(configuration)
        log = owner.log.named("agent.tcp")
        accessLog = owner.log.named("agent.tcp.access")
    }

    private static func accessLevel(_ configuration: ListenerConfiguration) -> LogLevel? {
        configuration.accessLog.disable ? nil : configuration.accessLog.level
    }

    func configure(_ configuration: ListenerConfiguration) {
        timeout = configuration.timeout.wholeMilliseconds
        accessLevel = Self.accessLevel(configuration)
    }

    func serve(_ stream: Connection) {
        let served = ServedStream(stream, service: self)
        owner.residents.enter(served) { served.abort() }
        served.dial(host: place.host, port: place.port, timeout: timeout, on: owner.loop)
    }

    func drain() {}
    func end() {}
    /// They are the loop's residents.
    var count: Int { 0 }

    fileprivate func didNotReach(_ served: ServedStream, _ error: EngineError) {
        owner.faults.countService(of: endpoint)
        didFail(served, error)
    }

    fileprivate func didFail(_ served: ServedStream, _ error: EngineError) {
        owner.residents.leave(served)
        log.peer(.warn, "service not reached") {
            $0.add("endpoint_id", endpoint)
            $0.add("addr", place.hostPort.description)
            $0.add("error", error.description)
        }
    }

    fileprivate func didEnd(_ served: ServedStream, _ end: RelayEnd) {
        owner.residents.leave(served)
        guard let accessLevel else { return }
        accessLog.write(accessLevel, "connection") {
            $0.add("endpoint_id", endpoint)
            $0.add("received", end.sent)
            $0.add("sent", end.received)
            if let error = end.error { $0.add("error", error.description) }
        }
    }
}

/// One stream, from its opening to its end. Held by the loop's residents.
private final class ServedStream: ConnectionHandler {
    private let stream: Connection
    private let service: TCPService
    private var dialer: Dialer?
    private var relay: Relay?

    init(_ stream: Connection, service: TCPService) {
        self.stream = stream
        self.service = service
        stream.handler = self
    }

    /// The stream's bytes wait within its window until the service has answered.
    func dial(host: String, port: UInt16, timeout: UInt64, on loop: EventLoop) {
        dialer = Dialer.dial(host: host, port: port, timeout: timeout, on: loop) { [self] in
            dialer = nil
            switch $0 {
            case .success(let connection): join(connection)
            case .failure(let error):
                stream.abort()
                service.didNotReach(self, error)
            }
        }
    }

    private func join(_ connection: Connection) {
        guard !stream.isClosing else {
            connection.abort()
            return service.didFail(self, .closed)
        }
        connection.boundReceiving()
        relay = Relay.join(stream, connection) { [self] end in
            relay = nil
            service.didEnd(self, end)
        }
    }

    func abort() {
        if let relay { return relay.abort() }
        guard let dialer else { return }
        dialer.cancel()
        self.dialer = nil
        stream.abort()
        service.didFail(self, .aborted)
    }

    func connection(_ connection: Connection, didRead bytes: UnsafeRawBufferPointer) -> Int { 0 }

    func connectionDidClose(_ connection: Connection, error: EngineError?) {
        guard let dialer else { return }
        dialer.cancel()
        self.dialer = nil
        service.didFail(self, error ?? .closed)
    }
}
