// SPDX-License-Identifier: MIT
// One configured end of TLS: which files, and what was last read of them. Any thread uses the context; the main thread reads the files,
// which may block. A connection keeps the context it began with: new files are for those to come.

import PikoCore
import PikoEngine
import Synchronization

/// The certificate, key and authorities of a port, or of whoever dials.
public final class TLSIdentity: Sendable {
    /// Paths; nil where there is none.
    struct Files: Equatable, Sendable {
        var isServer: Bool
        var certificate: String?
        var key: String?
        var authorities: String?
        /// A client that takes any certificate.
        var isUnchecked = false
        /// Sent to whoever speaks plain text to a server.
        var plainAnswer: String?
    }

    private struct Reading {
        var context: TLSContext
        /// Of the files that were read or refused last, and as they were seen last.
        var stamps: [FileStamp?]
        var seen: [FileStamp?]
        var readAt: UInt64
    }

    /// What errors call it: the configuration's section, where several have it the first.
    private let section: String
    /// The name that the peer's certificate must have, instead of the one dialled.
    public let serverName: String?
    let files: Files
    private let reading: Mutex<Reading>

    /// Nanoseconds after which a server's context is made anew, so that the keys of its tickets do not grow old.
    private static let ticketLife: UInt64 = 12 * 3600 * 1_000_000_000

    /// Reads the files. Main thread.
    init(section: String, files: Files, serverName: String? = nil) throws(ConfigurationError) {
        self.section = section
        self.files = files
        self.serverName = serverName
        let stamps = Self.stamps(files)
        let context = try Self.read(files, section)
        reading = Mutex(Reading(context: context, stamps: stamps, seen: stamps, readAt: EventLoop.nanoseconds))
    }

    /// For connections that begin now. Any thread.
    public var context: TLSContext { reading.withLock { $0.context } }

    /// The same, asked for each connection.
    public var source: @Sendable () -> TLSContext { { self.context } }

    /// What became of a look at the files.
    enum Refresh: Equatable {
        case unchanged, read
        /// The old ones are in use still.
        case refused(String)
    }

    /// Reads the files again where they have changed and stayed so since the last look, so that nobody reads half of a change; at once and in any
    /// case where `isForced`. Main thread.
    /// - Parameter now: nanoseconds of the engine's clock.
    func refresh(isForced: Bool, now: UInt64 = EventLoop.nanoseconds) -> Refresh {
        let stamps = Self.stamps(files)
        let isDue = reading.withLock { state in
            let isSettled = stamps == state.seen
            state.seen = stamps
            let isOld = files.isServer && now &- state.readAt > Self.ticketLife
            return isForced || (isSettled && (stamps != state.stamps || isOld))
        }
        guard isDue else { return .unchanged }
        do throws(ConfigurationError) {
            let context = try Self.read(files, section)
            reading.withLock { $0 = Reading(context: context, stamps: stamps, seen: stamps, readAt: now) }
            return .read
        } catch {
            reading.withLock {
                $0.stamps = stamps
                $0.readAt = now
            }
            return .refused(error.message)
        }
    }

    private static func stamps(_ files: Files) -> [FileStamp?] {
        [files.certificate, files.key, files.authorities].map { $0.flatMap(FileStamp.init) }
    }

    private static func read(_ files: Files, _ section: String) throws(ConfigurationError) -> TLSContext {
        do throws(TLSFault) {
            guard files.isServer else {
                return try .client(
                    certificate: files.certificate, key: files.key, roots: files.authorities, isUnchecked: files.isUnchecked)
            }
            return try .server(
                certificate: files.certificate ?? "", key: files.key ?? "", clientAuthorities: files.authorities,
                plainAnswer: files.plainAnswer)
        } catch {
            throw ConfigurationError(Self.words(error, files, section))
        }
    }

    private static func words(_ fault: TLSFault, _ files: Files, _ section: String) -> String {
        switch fault.part {
        case .certificate: "\(section).cert: \(files.certificate ?? ""): \(fault)"
        case .key: "\(section).key: \(files.key ?? ""): \(fault)"
        case .authorities: "\(section).\(files.isServer ? "client_cas" : "root_cas"): \(files.authorities ?? ""): \(fault)"
        case .library: "\(section): \(fault)"
        }
    }
}
