// SPDX-License-Identifier: MIT
// All identities of a process: makes them of its configuration, looks after their files, says what became of them. Main thread only.
// Equal ones are one, so that an agent with a thousand listeners reads its files once.

import Glibc
import PikoCore
import PikoEngine
import Synchronization

/// The ends of TLS that a process has.
final class TLSStore {
    /// Milliseconds between two looks at the files.
    static let interval: UInt64 = 1000
    private static let soon: Int64 = 7 * 86400

    /// An identity, and all sections of the configuration that have it.
    private struct End {
        let identity: TLSIdentity
        var sections: [String]

        /// Their keys, where several have it the first few.
        func keys(_ name: String? = nil) -> String {
            let keys = sections.prefix(TLSStore.mostNamed).map { section in name.map { "\(section).\($0)" } ?? section }
            let more = sections.count - keys.count
            return keys.joined(separator: ", ") + (more > 0 ? ", \(more) more" : "")
        }
    }

    /// Sections that a line names.
    private static let mostNamed = 8

    private let log: Log
    private var ends: [End] = []
    /// Looked at once, and read by nobody.
    private var unused: [End] = []
    /// Times that new files were refused and old ones kept.
    let refusals = TLSCounter()

    init(log: Log) { self.log = log.named("tls") }

    /// Nothing to look after.
    var isEmpty: Bool { ends.isEmpty }

    /// A port's; nil where it speaks plain text.
    func server(_ configuration: ServerTLSConfiguration, _ section: String) throws(ConfigurationError) -> TLSIdentity? {
        guard configuration.isEnabled else { return nil }
        var files = TLSIdentity.Files(isServer: true, certificate: configuration.cert, key: configuration.key)
        files.authorities = configuration.clientCAs.unlessEmpty
        files.plainAnswer = Self.plainAnswer
        return try Self.identity(section, files, serverName: nil, in: &ends)
    }

    /// Of something that dials by https.
    func client(_ configuration: ClientTLSConfiguration, _ section: String) throws(ConfigurationError) -> TLSIdentity {
        try Self.client(configuration, section, in: &ends)
    }

    /// As a store of its own, for what dials for a moment: files are not looked at again. Warns of what is unwise.
    static func once(
        log: Log, _ body: (TLSStore) throws(ConfigurationError) -> TLSIdentity?
    ) throws(ConfigurationError) -> TLSIdentity? {
        let store = TLSStore(log: log)
        let identity = try body(store)
        store.warn()
        return identity
    }

    /// Of something that dials these URLs; nil where none is of https. What is configured has to be right all the same.
    func client(_ configuration: ClientTLSConfiguration, _ section: String, towards urls: [ConfiguredURL?]) throws(ConfigurationError) -> TLSIdentity? {
        if urls.contains(where: { $0?.scheme == .https }) { return try client(configuration, section) }
        if configuration != ClientTLSConfiguration() { _ = try Self.client(configuration, section, in: &unused) }
        return nil
    }

    private static func client(
        _ configuration: ClientTLSConfiguration, _ section: String, in ends: inout [End]
    ) throws(ConfigurationError) -> TLSIdentity {
        var files = TLSIdentity.Files(isServer: false, certificate: configuration.cert.unlessEmpty, key: configuration.key.unlessEmpty)
        files.authorities = configuration.rootCAs.unlessEmpty
        files.isUnchecked = configuration.insecureSkipVerify
        return try identity(section, files, serverName: configuration.serverName.unlessEmpty, in: &ends)
    }

    private static func identity(
        _ section: String, _ files: TLSIdentity.Files, serverName: String?, in ends: inout [End]
    ) throws(ConfigurationError) -> TLSIdentity {
        if let index = ends.firstIndex(where: { $0.identity.files == files && $0.identity.serverName == serverName }) {
            ends[index].sections.append(section)
            return ends[index].identity
        }
        let identity = try TLSIdentity(section: section, files: files, serverName: serverName)
        ends.append(End(identity: identity, sections: [section]))
        return identity
    }

    /// Warns of what is unwise, once all are made.
    func warn() {
        for end in ends {
            if end.identity.files.isUnchecked { log.warn("certificates of peers are not checked") { $0.add("key", end.keys("insecure_skip_verify")) } }
            warnOfExpiry(end)
        }
        for end in unused { log.warn("no effect without an https address") { $0.add("key", end.keys()) } }
    }

    /// Reads again what has changed, or everything where `isForced`.
    func refresh(isForced: Bool = false) {
        for end in ends {
            switch end.identity.refresh(isForced: isForced) {
            case .unchanged: break
            case .read:
                log.info("certificates read again") { $0.add("key", end.keys()) }
                warnOfExpiry(end)
            case .refused(let reason):
                refusals.add()
                log.error("certificates not changed") {
                    $0.add("key", end.keys())
                    $0.add("error", reason)
                }
            }
        }
    }

    private func warnOfExpiry(_ end: End) {
        guard let expiry = end.identity.context.expiry else { return }
        let left = expiry - Int64(time(nil))
        guard left < Self.soon else { return }
        log.warn(left < 0 ? "certificate has expired" : "certificate expires soon") {
            $0.add("key", end.keys("cert"))
            $0.add("hours", max(left, 0) / 3600)
        }
    }

    private static let plainAnswer: String = {
        let body = #"{"error":"this port speaks TLS"}"#
        return """
            HTTP/1.1 400 Bad Request\r
            content-type: application/json\r
            x-content-type-options: nosniff\r
            content-length: \(body.utf8.count)\r
            connection: close\r
            \r
            \(body)
            """
    }()
}

/// Counts for a page of metrics. Any thread.
final class TLSCounter: Sendable {
    private let count = Atomic<UInt64>(0)
    func add() { count.add(1, ordering: .relaxed) }
    var value: UInt64 { count.load(ordering: .relaxed) }
}

extension String {
    fileprivate var unlessEmpty: String? { isEmpty ? nil : self }
}

extension PrometheusText {
    /// Not of the original.
    mutating func add(refusedCertificates: UInt64) {
        begin("piko_tls_reload_failures_total", .counter, "Times that new certificate files were refused and the old ones kept.")
        sample(refusedCertificates)
    }
}
