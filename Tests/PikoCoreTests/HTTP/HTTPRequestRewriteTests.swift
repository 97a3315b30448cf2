// SPDX-License-Identifier: MIT
// What a request head looks like behind a node: byte for byte, but for the lines that belong to the hop.

import Testing

@testable import PikoCore

@Suite struct HTTPRequestRewriteTests {
    @Test("request rewrite: lines stay byte for byte and in order, the node's own follow")
    func bytesStay() {
        let sent = "GET /a%2F/../b?x=%zz HTTP/1.1\r\nhOsT: My.example.com:80\r\nX-A:  two  words\t\r\nx-a:\r\nCookie: a=1\r\n\r\n"
        let got = rewritten(sent, client: "192.0.2.7") {
            $0.proto = .http
            $0.addsForwardedHost = true
            $0.marksForward = true
        }
        #expect(got == sent.dropLast() + "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"
            + "X-Forwarded-Host: My.example.com:80\r\nx-piko-forward: true\r\n\r\n")
    }
}
