// SPDX-License-Identifier: MIT
// Fuzzes the way of a token: the head that carries it, its text, the claims in it, the URL and the chunked body of a key set. Holds: nothing traps;
// a token found is part of the head and within its bound; what claims grant is what they say, and only in their time; a cache gives back what it
// was given, only for the same bytes; a body is the same for every split. Signatures are JWTKit's and not fuzzed here.
// fuzz-sources: Sources/PikoCore/HTTP/*.swift Sources/PikoCore/Routing/LoopList.swift Sources/PikoCore/Auth/*.swift Sources/PikoCore/Routing/PercentEncoding.swift Sources/PikoCore/Config/SecurityConfiguration.swift Sources/PikoCore/Config/ConfiguredURL.swift Sources/PikoCore/Config/HostPort.swift Sources/PikoCore/Config/DurationText.swift Sources/PikoControl/Auth/JOSEText.swift
// fuzz-seeds: token.hex http1

nonisolated(unsafe) private let head = RequestHead()

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    checkHead(bytes)
    checkText(bytes)
    checkPlace(bytes)
    checkChunks(bytes)
    return 0
}

private func checkHead(_ bytes: [UInt8]) {
    guard bytes.withUnsafeBytes({ head.parse($0) }) == nil else { return }
    do throws(TokenFault) {
        let found = try head.presentedToken()
        precondition(found.token.count <= PresentedToken.longest && found.value.count == found.token.count + 7, "a token beyond its field")
        precondition(found.value.starts(with: "Bearer ".utf8) && found.value.dropFirst(7).elementsEqual(found.token), "another scheme")
        if found.field == .authorization { precondition(!head.traits.hasToken, "the wrong one of two fields") }
        checkText(Array(found.token))
    } catch {
        precondition(error.status == 401, "no token, and no 401")
    }
}

private func checkText(_ token: [UInt8]) {
    guard let text = JOSEText(token) else { return }
    precondition(token.starts(with: text.signed) && text.header.crit == nil, "what was signed is not what was sent")
    guard let claims = text.claims else { return }
    checkClaims(claims)
    var cache = TokenCache(entries: 2, bytes: 1 << 16)
    guard let grant = try? TokenRules().grant(TokenClaims(), now: 0).get() else { fatalError("nothing claimed, nothing granted") }
    let none = UnsafeRawBufferPointer(start: nil, count: 0)
    cache.keep(token, tenant: [], grant)
    precondition(token.withUnsafeBytes { cache.find($0, tenant: none, now: 0) } === grant, "forgotten")
    precondition(token.dropLast().withUnsafeBytes { cache.find($0, tenant: none, now: 0) } == nil, "taken for another")
    precondition(token.withUnsafeBytes { cache.find($0, tenant: $0, now: 0) } == nil, "taken for a tenant's")
}

private func checkClaims(_ text: JOSEText.Claims) {
    var claims = TokenClaims()
    claims.expiry = text.exp
    claims.notBefore = text.nbf
    claims.audience = text.aud?.values ?? []
    claims.issuer = text.iss
    claims.endpoints = text.piko?.endpoints ?? []
    for now in [0, 1_000_000, 2_000_000_000] {
        guard case .success(let grant) = TokenRules().grant(claims, now: Double(now)) else { continue }
        precondition(Double(now) < claims.expiry ?? .infinity && Double(now) >= claims.notBefore ?? -.infinity, "granted out of its time")
        precondition(claims.endpoints.allSatisfy { grant.permits($0) }, "not what was claimed")
        precondition(grant.permits("\u{0}never claimed\u{0}") == claims.endpoints.isEmpty || claims.endpoints.contains("\u{0}never claimed\u{0}"))
    }
}

private func checkPlace(_ bytes: [UInt8]) {
    guard let text = String(validating: bytes, as: UTF8.self) else { return }
    switch KeySetPlace(text) {
    case .page(let url, let target)?: precondition(!url.host.isEmpty && target.hasPrefix("/") && !target.contains(where: \.isWhitespace))
    case .file(let path)?: precondition(path.hasPrefix("/") && !path.utf8.contains(0))
    case nil: break
    }
}

private func checkChunks(_ bytes: [UInt8]) {
    var whole = ChunkedText(), parts = ChunkedText()
    bytes.withUnsafeBytes { whole.take($0) }
    for byte in bytes { [byte].withUnsafeBytes { parts.take($0) } }
    precondition(whole.isOver == parts.isOver && whole.isBroken == parts.isBroken && whole.payload == parts.payload, "another body when split")
    precondition(whole.payload.count <= bytes.count, "more than there was")
}
