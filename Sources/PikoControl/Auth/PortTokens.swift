// SPDX-License-Identifier: MIT
// Who verifies the tokens of one port, and how often one was turned away there. Shared by all loops; any thread.
// Configured anew it is another in one step: whoever remembers an answer sees by the version that it is old.

import PikoCore
import PikoEngine
import Synchronization

/// The tokens of one port of a node.
final class PortTokens: Sendable {
    /// Made, not yet in effect.
    struct Authorities: Sendable {
        fileprivate(set) var own: TokenAuthority?
        fileprivate(set) var tenants: [String: TokenAuthority] = [:]

        fileprivate var all: [TokenAuthority] { (own.map { [$0] } ?? []) + tenants.values }
    }

    /// As a label: proxy, upstream or admin.
    let port: String
    private let log: Log
    private let authorities = Mutex(Authorities())
    private let asks = Atomic<Bool>(false)
    private let changes: Count
    private let failures: Count
    private let refusals = Mutex([UInt64](repeating: 0, count: TokenFault.allCases.count))

    /// A number that goes up.
    private final class Count: Sendable {
        let number = Atomic<UInt64>(0)
        func advance() { number.add(1, ordering: .sequentiallyConsistent) }
    }

    /// - Throws: a key that is none.
    init(port: String, _ auth: AuthConfiguration, tenants: [TenantConfiguration] = [], log: Log) throws(ConfigurationError) {
        self.port = port
        self.log = log
        changes = Count()
        failures = Count()
        install(try make(auth, tenants))
    }

    /// Whether the port asks for tokens at all.
    var areAsked: Bool { asks.load(ordering: .relaxed) }

    /// Another number whenever answers may be others than before.
    var version: UInt64 { changes.number.load(ordering: .acquiring) }

    /// Whoever verifies the tokens of a tenant; empty: of none. Once there are tenants, everybody is one.
    func authority(tenant: String) throws(TokenFault) -> TokenAuthority {
        let found = authorities.withLock { tenant.isEmpty && $0.tenants.isEmpty ? $0.own : $0.tenants[tenant] }
        guard let found else { throw .unknownTenant }
        return found
    }

    /// A request was turned away.
    func count(_ fault: TokenFault) { refusals.withLock { $0[Int(fault.rawValue)] &+= 1 } }

    /// By fault, so far.
    var refused: [(TokenFault, UInt64)] { refusals.withLock { counts in TokenFault.allCases.map { ($0, counts[Int($0.rawValue)]) } } }

    /// Reads of key sets that failed, so far.
    var failedReads: UInt64 { failures.number.load(ordering: .relaxed) }

    // MARK: Configuration

    /// Other keys, rules and tenants from now on. Control loop only.
    func adopt(_ new: Authorities, on loop: EventLoop) {
        // First: whoever is asked has its reader, for which a token can wait.
        for authority in new.all { authority.start(on: loop) }
        let old = install(new)
        let kept = Set(new.all.map(ObjectIdentifier.init))
        for authority in old.all where !kept.contains(ObjectIdentifier(authority)) { authority.end() }
    }

    /// Key sets may be others: they are read now. Control loop only.
    func readAgain() {
        for authority in authorities.withLock({ $0.all }) { authority.readAgain() }
    }

    /// Begins to read key sets. Control loop only.
    func start(on loop: EventLoop) {
        for authority in authorities.withLock({ $0.all }) { authority.start(on: loop) }
    }

    /// Reads none any more. Control loop only.
    func end() {
        for authority in authorities.withLock({ $0.all }) { authority.end() }
    }

    /// Keys, rules and tenants, for `adopt`. Where nothing is another, the authority stays, and with it the keys that it has read.
    /// Waits for JWTKit: main thread.
    func make(_ auth: AuthConfiguration, _ tenants: [TenantConfiguration] = []) throws(ConfigurationError) -> Authorities {
        let old = authorities.withLock { $0 }
        var new = Authorities()
        if auth.isEnabled { new.own = try authority(auth, "\(port).auth", insteadOf: old.own) }
        for (index, tenant) in tenants.enumerated() {
            new.tenants[tenant.id] = try authority(tenant.auth, "\(port).tenants[\(index)].auth", insteadOf: old.tenants[tenant.id])
        }
        return new
    }

    private func authority(_ auth: AuthConfiguration, _ name: String, insteadOf old: TokenAuthority?) throws(ConfigurationError) -> TokenAuthority {
        if let old, old.configuration == auth { return old }
        let (changes, failures) = (changes, failures)
        return try TokenAuthority(
            auth, name: name, insteadOf: old, log: log, onKeys: { changes.advance() }, onFailure: { failures.advance() })
    }

    @discardableResult
    private func install(_ new: Authorities) -> Authorities {
        let old = authorities.withLock { state in
            defer { state = new }
            return state
        }
        asks.store(!new.all.isEmpty, ordering: .sequentiallyConsistent)
        changes.advance()
        return old
    }
}

/// The tokens of all ports of a node. Any thread.
final class NodeTokens: Sendable {
    let proxy: PortTokens
    let upstream: PortTokens
    let admin: PortTokens

    /// - Throws: a key that is none; the line names it.
    init(_ configuration: ServerConfiguration, log: Log) throws(ConfigurationError) {
        let log = log.named("auth")
        proxy = try PortTokens(port: "proxy", configuration.proxy.auth, log: log)
        upstream = try PortTokens(port: "upstream", configuration.upstream.auth, tenants: configuration.upstream.tenants, log: log)
        admin = try PortTokens(port: "admin", configuration.admin.auth, log: log)
    }

    var all: [PortTokens] { [proxy, upstream, admin] }

    /// Takes over what a new configuration says of tokens, soon; nothing of it where a key is none. Main thread.
    /// - Parameter loop: the control loop.
    func replace(_ configuration: ServerConfiguration, on loop: EventLoop) throws(ConfigurationError) {
        let forProxy = try proxy.make(configuration.proxy.auth)
        let forUpstream = try upstream.make(configuration.upstream.auth, configuration.upstream.tenants)
        let forAdmin = try admin.make(configuration.admin.auth)
        loop.post { [self] in
            proxy.adopt(forProxy, on: loop)
            upstream.adopt(forUpstream, on: loop)
            admin.adopt(forAdmin, on: loop)
        }
    }

    func start(on loop: EventLoop) { for port in all { port.start(on: loop) } }

    /// Control loop only.
    func readAgain() { for port in all { port.readAgain() } }

    func end() { for port in all { port.end() } }
}

extension PrometheusText {
    /// Requests turned away for their tokens, and key sets that could not be read: not of the original.
    mutating func add(_ tokens: NodeTokens) {
        begin("piko_auth_rejected_total", .counter, "Requests and agents turned away for their token.")
        for port in tokens.all {
            for (fault, count) in port.refused { sample([("port", port.port), ("reason", fault.label)], count) }
        }
        begin("piko_auth_key_set_failures_total", .counter, "Reads of a key set that failed; the keys at hand stayed.")
        for port in tokens.all { sample([("port", port.port)], port.failedReads) }
    }
}
