// SPDX-License-Identifier: MIT
// TLS through the Swift face: dialled and accepted connections, what is refused, new files, moving between loops.
// Real sockets on loopback; certificates are made by the openssl command, once for the suite.

import Foundation
import PikoEngine
import Testing

/// PEM files of one root and what it signed, in a directory of the test run's own.
struct TestCertificates {
    let directory: String
    var root: String { directory + "/root.pem" }
    var server: String { directory + "/server.pem" }
    var serverKey: String { directory + "/server.key" }

    static let shared = TestCertificates()

    private init() {
        directory = NSTemporaryDirectory() + "engine-tls-\(ProcessInfo.processInfo.processIdentifier)"
        try! FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        run(["req", "-x509", "-days", "2", "-subj", "/CN=root", "-keyout", directory + "/root.key", "-out", root] + key)
        run(["req", "-x509", "-days", "2", "-subj", "/CN=server", "-CA", root, "-CAkey", directory + "/root.key",
             "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
             "-keyout", serverKey, "-out", server] + key)
    }

    // Not by Foundation's Process, which leaks as the leak sanitizer sees it.
    private func run(_ arguments: [String]) {
        let words = (["openssl"] + arguments).map { strdup($0) } + [nil]
        defer { words.forEach { free($0) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
        var id = pid_t()
        var status: Int32 = -1
        precondition(posix_spawnp(&id, "openssl", &actions, nil, words, environ) == 0, "no openssl")
        precondition(waitpid(id, &status, 0) == id && status == 0, "openssl \(arguments)")
    }
}

@Suite struct TLSTests {
    let files = TestCertificates.shared

    private func server() throws -> TLSContext { try .server(certificate: files.server, key: files.serverKey, plainAnswer: "no\n") }
    private func client() throws -> TLSContext { try .client(roots: files.root) }

    /// A server that says back what it heard when it has heard all.
    private func listen(_ loop: EventLoop, _ context: TLSContext, timeout: UInt64 = 10_000, _ closed: @escaping (EngineError?) -> Void)
        throws -> Listener
    {
        try Listener.listen(
            at: SocketAddress(host: "127.0.0.1", port: 0)!, tls: { context }, handshakeTimeout: { timeout }, on: loop
        ) { connection in
            let seen = Seen()
            let script = Script.collecting(seen)
            script.onEnd = {
                $0.write(seen.text + "!")
                $0.close()
            }
            script.onClose = closed
            connection.handler = script
            connection.startReading()
        }
    }

    private func dial(
        _ context: TLSContext, peer: String? = nil, _ listener: Listener, _ completion: @escaping (Result<Connection, EngineError>) -> Void
    ) {
        Dialer.dial(
            host: "127.0.0.1", port: listener.address!.port, timeout: 5000, tls: context, serverName: peer, on: listener.loop,
            completion: completion)
    }

    @Test("tls: a dialled connection arrives after its handshake and ends by close_notify both ways")
    func exchange() throws {
        let (server, client) = (try server(), try client())
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let listener = try! listen(loops[0], server) { seen.errors.append($0); done.fire() }
                dial(client, peer: "localhost", listener) { result in
                    listener.close()
                    guard case .success(let connection) = result else { return }
                    seen.text = "\(connection.carrier) \(connection.isSecure) \(connection.tls!.version) \(connection.tls!.isHTTP) "
                    let script = Script.collecting(seen)
                    script.onClose = { seen.errors.append($0); done.fire() }
                    connection.handler = script
                    connection.startReading()
                    connection.write("hello")
                    connection.shut()
                }
            }
            #expect(done.wait(2))
            #expect(seen.text == "tls true TLSv1.3 true hello!")
            #expect(seen.errors == [nil, nil])
        }
    }

    @Test("tls: a certificate for another name is refused on both ends, in words")
    func wrongName() throws {
        let (server, client) = (try server(), try client())
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let listener = try! listen(loops[0], server) { seen.errors.append($0); done.fire() }
                dial(client, listener) { result in
                    listener.close()
                    guard case .failure(let error) = result else { return }
                    seen.text = "\(error)"
                    seen.errors.append(error)
                    done.fire()
                }
            }
            #expect(done.wait(2))
            #expect(seen.text.contains("the peer's certificate: IP address mismatch"))
            #expect(seen.errors.count == 2 && seen.errors.allSatisfy { $0?.isTLS == true })
        }
    }

    @Test("tls: a peer that does not shake hands is left at the deadline; one that speaks plain text is told")
    func noHandshake() throws {
        let server = try server()
        try withLoops { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let listener = try! listen(loops[0], server, timeout: 100) { seen.errors.append($0); done.fire() }
                for words in ["", "GET / HTTP/1.1\r\n\r\n"] {
                    let script = Script.collecting(seen)
                    script.onClose = { _ in done.fire() }
                    script.onOpen = {
                        $0.startReading()
                        $0.write(words)
                    }
                    _ = try! Connection.dial(listener.address!, timeout: 5000, on: loops[0], handler: script)
                }
                let last = Box<PikoEngine.Timer>()
                last.value = PikoEngine.Timer(on: loops[0]) {
                    listener.close()
                    last.value = nil
                }
                last.value?.arm(50)
            }
            #expect(done.wait(4))
            #expect(seen.text == "no\n")
            #expect(Set(seen.errors) == [.timeout, .notTLS])
        }
    }

    @Test("tls: an accepted connection moves to another loop and goes on there")
    func moves() throws {
        let (server, client) = (try server(), try client())
        try withLoops(2) { loops in
            let (done, seen) = (Signal(), Seen())
            loops[0].post {
                let listener = try! Listener.listen(at: SocketAddress(host: "127.0.0.1", port: 0)!, tls: { server }, on: loops[0]) {
                    let here = Script()
                    here.onRead = { connection, bytes in
                        let moving = try! connection.detach(extra: bytes)
                        loops[1].post {
                            let there = Script.collecting(seen)
                            there.answersAtEnd("from the other loop")
                            there.onClose = { _ in done.fire() }
                            try! moving.land(on: loops[1], handler: there).startReading()
                        }
                        return bytes.count
                    }
                    $0.handler = here
                    $0.startReading()
                }
                dial(client, peer: "localhost", listener) { result in
                    listener.close()
                    guard case .success(let connection) = result else { return }
                    let answer = Seen()
                    let script = Script.collecting(answer)
                    script.onClose = { seen.errors.append($0); seen.numbers = [answer.text.utf8.count]; done.fire() }
                    connection.handler = script
                    connection.startReading()
                    connection.write("take me along")
                    connection.shut()
                }
            }
            #expect(done.wait(2))
            #expect(seen.text == "take me along")
            #expect(seen.numbers == ["from the other loop".utf8.count])
            #expect(seen.errors == [nil])
        }
    }

    @Test("tls: a context that cannot be made says which file and why")
    func faults() throws {
        let missing = #expect(throws: TLSFault.self) { try TLSContext.server(certificate: "/nowhere", key: files.serverKey) }
        #expect(missing?.part == .certificate && missing?.description == "No such file or directory")
        let mismatch = #expect(throws: TLSFault.self) { try TLSContext.server(certificate: files.server, key: files.directory + "/root.key") }
        #expect(mismatch?.part == .key && mismatch?.description == "does not belong to the certificate")
        #expect(try server().expiry! > Int64(Date().timeIntervalSince1970))
        #expect(try client().expiry == nil)
    }
}
