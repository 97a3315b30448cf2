// SPDX-License-Identifier: MIT
// Questions that are passed on to other nodes' admin ports (`?forward=`). Control loop only.
// A node that does not answer in time is a 502; a question that is passed on says so, so that it never travels further.

import PikoCore
import PikoEngine

/// Questions under way with other nodes. Loop-confined.
final class AdminForwards {
    private let loop: EventLoop
    private var exchanges: [ObjectIdentifier: PageExchange] = [:]

    /// Milliseconds for the whole answer.
    private static let patience: UInt64 = 10_000
    /// At once.
    private static let limit = 64
    /// Of their answers together, until these have left.
    private let budget = ByteBudget(bytes: 64 << 20)

    /// nil: other nodes' admin ports speak plain text.
    private let tls: TLSIdentity?

    init(loop: EventLoop, tls: TLSIdentity?) {
        self.loop = loop
        self.tls = tls
    }

    /// Asks the admin port at "host:port". Answers once, unless `end` comes first.
    func ask(_ address: String, _ request: AdminRequest, _ answer: @escaping (AdminAnswer) -> Void) {
        guard let place = HostPort(address), !place.host.isEmpty else { return answer(.error(502, "node unreachable: no address")) }
        guard exchanges.count < Self.limit else { return answer(.error(503, "too many questions under way")) }
        let url = ConfiguredURL(scheme: tls == nil ? .http : .https, host: place.host, port: place.port)
        var page = PageRequest(url: url, target: request.target, timeout: Self.patience)
        page.tls = tls
        page.fields = [("x-piko-forward", "true")] + request.credentials
        var key: ObjectIdentifier?
        let lease = ByteBudget.Lease(of: budget)
        let exchange = PageExchange(page, lease: lease, on: loop) { [weak self] in
            if let key { self?.exchanges[key] = nil }
            switch $0 {
            case .success(let reply):
                answer(AdminAnswer(status: reply.status, contentType: reply.contentType, body: reply.text, lease: reply.lease))
            case .failure(let failure): answer(.error(502, "node unreachable: \(failure.reason)"))
            }
        }
        key = ObjectIdentifier(exchange)
        exchanges[ObjectIdentifier(exchange)] = exchange
        exchange.start()
    }

    func end() {
        for exchange in Array(exchanges.values) { exchange.cancel() }
        exchanges = [:]
    }
}
