// SPDX-License-Identifier: MIT
// Tokens without their signatures: which field carries one, what claims open a port, what is remembered and for how long.
// No sockets, no clock.

import Testing

@testable import PikoCore

struct TokenDecisionTests {
    private func presented(_ fields: String...) -> (text: String?, field: TokenField?, tenant: String, fault: TokenFault?) {
        let (head, fault) = parseRequest("GET / HTTP/1.1\r\nhost: h\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n")
        #expect(fault == nil)
        return withExtendedLifetime(head) {
            do throws(TokenFault) {
                let found = try head.presentedToken()
                return (String(decoding: found.token, as: UTF8.self), found.field, String(decoding: found.tenant, as: UTF8.self), nil)
            } catch {
                return (nil, nil, "", error)
            }
        }
    }

    @Test("token: x-piko-authorization goes before authorization, unless it is empty")
    func fields() {
        #expect(presented("authorization: Bearer a", "x-piko-authorization: Bearer b").text == "b")
        #expect(presented("X-Piko-Authorization: Bearer b", "Authorization: Basic x").field == .pikoAuthorization)
        #expect(presented("x-piko-authorization:", "authorization: Bearer a").text == "a")
        #expect(presented("authorization: Bearer a", "x-piko-tenant-id: t").tenant == "t")
        #expect(presented("authorization: Bearer a").field == .authorization)
    }

    @Test("token: one that is missing, malformed or of another type is refused with its text")
    func refused() {
        #expect(presented().fault == .missing)
        #expect(presented("authorization:").fault == .missing)
        #expect(presented("authorization: abc").fault == .malformed)
        #expect(presented("authorization: Basic abc").fault == .unsupportedType)
        #expect(presented("authorization: bearer abc").fault == .unsupportedType)
        #expect(presented("authorization: Bearer a", "authorization: Bearer a").fault == .malformed)
        #expect(presented("x-piko-authorization: a", "authorization: Bearer a").fault == .malformed)
        #expect(presented("authorization: Bearer " + String(repeating: "a", count: PresentedToken.longest + 1)).fault == .invalid)
    }

    @Test("token: x-piko-authorization twice is a bad request")
    func repeated() {
        let text = "GET / HTTP/1.1\r\nhost: h\r\nx-piko-authorization: Bearer a\r\nx-piko-authorization: Bearer b\r\n\r\n"
        #expect(parseRequest(text).fault == .repeatedControlField)
    }

    @Test("token: every fault has a status, a text that fits into JSON and a label of its own")
    func faults() {
        for fault in TokenFault.allCases {
            #expect(ProxyError(fault).status == fault.status && (fault.status == 401 || [.keysUnavailable, .overloaded].contains(fault)))
            #expect(ProxyError(fault).text.description == fault.text.description && !fault.text.description.contains("\""))
        }
        #expect(Set(TokenFault.allCases.map(\.label)).count == TokenFault.allCases.count)
    }

    // MARK: Claims

    private func rules(_ change: (inout TokenRules) -> Void = { _ in }) -> TokenRules {
        var rules = TokenRules()
        change(&rules)
        return rules
    }

    private func fault(_ rules: TokenRules, now: Double = 1000, _ change: (inout TokenClaims) -> Void) -> TokenFault? {
        var claims = TokenClaims()
        change(&claims)
        if case .failure(let fault) = rules.grant(claims, now: now) { return fault }
        return nil
    }

    @Test("claims: a token is good from nbf on and before exp, with leeway on both sides")
    func times() {
        #expect(fault(rules()) { $0.expiry = 1000 } == .expired)
        #expect(fault(rules()) { $0.expiry = 1000.5 } == nil)
        #expect(fault(rules()) { $0.notBefore = 1000 } == nil)
        #expect(fault(rules()) { $0.notBefore = 1001 } == .invalid)
        #expect(fault(rules { $0.leeway = 5 }) { $0.expiry = 996 } == nil)
        #expect(fault(rules { $0.leeway = 5 }) { $0.expiry = 995 } == .expired)
        #expect(fault(rules { $0.leeway = 5 }) { $0.notBefore = 1005 } == nil)
        #expect(fault(rules { $0.leeway = 5 }) { $0.notBefore = 1006 } == .invalid)
        #expect(fault(rules()) { _ in } == nil)
    }

    @Test("claims: audience and issuer are checked where they are configured; expiry is named first")
    func people() {
        let strict = rules { ($0.audience, $0.issuer) = ("piko", "idp") }
        #expect(fault(strict) { ($0.audience, $0.issuer) = (["other", "piko"], "idp") } == nil)
        #expect(fault(strict) { $0.issuer = "idp" } == .invalid)
        #expect(fault(strict) { ($0.audience, $0.issuer) = (["piko"], "else") } == .invalid)
        #expect(fault(strict) { $0.audience = ["piko"] } == .invalid)
        #expect(fault(strict) { $0.expiry = 1 } == .expired)
        #expect(fault(rules()) { ($0.audience, $0.issuer) = (["x"], "y") } == nil)
    }

    private func grant(_ rules: TokenRules, _ endpoints: [String], expiry: Double? = nil) throws -> TokenGrant {
        var claims = TokenClaims()
        claims.endpoints = endpoints
        claims.expiry = expiry
        return try rules.grant(claims, now: 0).get()
    }

    @Test("claims: endpoints are permitted by name; none named permits all, or none where endpoints are required")
    func endpoints() throws {
        let named = try grant(rules(), ["a", "Web"])
        #expect(named.permits("a") && named.permits("Web") && !named.permits("web") && !named.permits("b") && !named.permits(""))
        #expect(named.permits("web", isHostName: true) && !named.permits("b", isHostName: true))
        #expect(try grant(rules(), []).permits("any"))
        #expect(try !grant(rules { $0.requiresEndpoints = true }, []).permits("any"))
        #expect(try grant(rules { $0.requiresEndpoints = true }, ["a"]).permits("a"))
    }

    @Test("claims: an agent is disconnected at exp and leeway, or never where that is turned off")
    func disconnect() throws {
        #expect(try grant(rules { $0.leeway = 2 }, [], expiry: 10).disconnect == 12)
        #expect(try grant(rules { $0.disconnectsAtExpiry = false }, [], expiry: 10).disconnect == .infinity)
        #expect(try grant(rules(), []).disconnect == .infinity)
    }

    // MARK: What is remembered

    private func find(_ cache: inout TokenCache, _ token: String, tenant: String = "", now: Double = 0) -> TokenGrant? {
        Array(token.utf8).withUnsafeBytes { token in Array(tenant.utf8).withUnsafeBytes { cache.find(token, tenant: $0, now: now) } }
    }

    @Test("cache: a token is one tenant's, and no other's with the same token")
    func ofTenants() throws {
        var cache = TokenCache()
        let red = try grant(rules(), ["red"], expiry: 10), blue = try grant(rules(), ["blue"]), nobody = try grant(rules(), [])
        cache.keep(Array("a.b.c".utf8), tenant: Array("red".utf8), red)
        #expect(find(&cache, "a.b.c") == nil && find(&cache, "a.b.c", tenant: "blue") == nil && find(&cache, "a.b.cred") == nil)
        cache.keep(Array("a.b.c".utf8), tenant: Array("blue".utf8), blue)
        cache.keep(Array("a.b.c".utf8), tenant: [], nobody)
        #expect(find(&cache, "a.b.c", tenant: "red") === red && find(&cache, "a.b.c", tenant: "blue") === blue && find(&cache, "a.b.c") === nobody)
        #expect(find(&cache, "a.b.c", tenant: "red", now: 10) == nil && find(&cache, "a.b.c", tenant: "blue", now: 10) === blue)
    }

    @Test("cache: the names of tenants count for its bytes, too")
    func boundedTenants() throws {
        var cache = TokenCache(entries: 1000, bytes: 400)
        for number in 0..<10 { cache.keep([UInt8(number)], tenant: [UInt8](repeating: 0, count: 150), try grant(rules(), [])) }
        #expect(cache.count <= 3)
    }

    @Test("cache: a token is found by all its bytes until it expires, then forgotten")
    func remembered() throws {
        var cache = TokenCache()
        let known = try grant(rules(), [], expiry: 10)
        cache.keep(Array("a.b.c".utf8), tenant: [], known)
        #expect(find(&cache, "a.b.c", now: 9.9) === known)
        #expect(find(&cache, "a.b.d") == nil && find(&cache, "a.b.") == nil)
        #expect(find(&cache, "a.b.c", now: 10) == nil && cache.count == 0)
        cache.keep(Array("a.b.c".utf8), tenant: [], known)
        cache.clear()
        #expect(find(&cache, "a.b.c") == nil)
    }

    @Test("cache: it is bounded in tokens and in bytes, and what is used stays")
    func bounded() throws {
        var cache = TokenCache(entries: 8, bytes: 400)
        let known = try grant(rules(), [])
        cache.keep(Array("used".utf8), tenant: [], known)
        for number in 0..<1000 {
            cache.keep(Array("token-\(number)".utf8), tenant: [], known)
            #expect(cache.count <= 8)
            #expect(find(&cache, "used") === known)
        }
        for number in 0..<10 { cache.keep([UInt8](repeating: UInt8(number), count: 150), tenant: [], known) }
        #expect(cache.count <= 3)
    }
}
