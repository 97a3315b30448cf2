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

    private let log: Log
    /// Says nothing of what is merely unwise.
    private let isQuiet: Bool
    private var identities: [TLSIdentity] = []
    /// Times that new files were refused and old ones kept.
    let refusals = TLSCounter()

    init(log: Log, isQuiet: Bool = false) {
        self.log = log.named("tls")
        self.isQuiet = isQuiet
    }

    /// Nothing to look after.
    var isEmpty: Bool { identities.isEmpty }

    /// A port's; nil where it speaks plain text.
    func server(_ configuration: ServerTLSConfiguration, _ section: String) throws(ConfigurationError) -> TLSIdentity? {
        guard configuration.isEnabled else { return nil }
        var files = TLSIdentity.Files(isServer: true, certificate: configuration.cert, key: configuration.key)
        files.authorities = configuration.clientCAs.unlessEmpty
        files.plainAnswer = Self.plainAnswer
        return try identity(section, files, serverName: nil)
    }

    /// Of something that dials by https.
    func client(_ configuration: ClientTLSConfiguration, _ section: String) throws(ConfigurationError) -> TLSIdentity {
        var files = TLSIdentity.Files(isServer: false, certificate: configuration.cert.unlessEmpty, key: configuration.key.unlessEmpty)
        files.authorities = configuration.rootCAs.unlessEmpty
        files.isUnchecked = configuration.insecureSkipVerify
        return try identity(section, files, serverName: configuration.serverName.unlessEmpty)
    }

    private func identity(_ section: String, _ files: TLSIdentity.Files, serverName: String?) throws(ConfigurationError) -> TLSIdentity {
        if let known = identities.first(where: { $0.files == files && $0.serverName == serverName }) { return known }
        let identity = try TLSIdentity(section: section, files: files, serverName: serverName)
        identities.append(identity)
        if files.isUnchecked, !isQuiet { log.warn("certificates of peers are not checked") { $0.add("key", "\(section).insecure_skip_verify") } }
        if !isQuiet { warnOfExpiry(identity) }
        return identity
    }

    /// Reads again what has changed, or everything where `isForced`.
    func refresh(isForced: Bool = false) {
        for identity in identities {
            switch identity.refresh(isForced: isForced) {
            case .unchanged: break
            case .read:
                log.info("certificates read again") { $0.add("key", identity.section) }
                warnOfExpiry(identity)
            case .refused(let reason):
                refusals.add()
                log.error("certificates not changed") { $0.add("error", reason) }
            }
        }
    }

    private func warnOfExpiry(_ identity: TLSIdentity) {
        guard let expiry = identity.context.expiry else { return }
        let left = expiry - Int64(time(nil))
        guard left < Self.soon else { return }
        log.warn(left < 0 ? "certificate has expired" : "certificate expires soon") {
            $0.add("key", "\(identity.section).cert")
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
