// SPDX-License-Identifier: MIT
// Names of endpoints that a host name may mean although it is spelled otherwise: host names compare without case, endpoints with it.
// A value; kept by the tables that look endpoints up by the Host of a request.

/// Names that are not in lower case, by their lower case.
struct FoldedNames: Sendable {
    private var names: [String: [String]] = [:]

    /// Takes a name that was not there. One in lower case needs no entry.
    mutating func add(_ name: String) {
        let lower = name.lowercased()
        if lower != name { names[lower, default: []].append(name) }
    }

    mutating func remove(_ name: String) {
        let lower = name.lowercased()
        names[lower]?.removeAll { $0 == name }
        if names[lower]?.isEmpty == true { names[lower] = nil }
    }

    /// A name that differs from `host`, given in lower case, in case only.
    func meant(by host: String) -> String? { names[host]?.first }
}
