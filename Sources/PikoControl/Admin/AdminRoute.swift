// SPDX-License-Identifier: MIT
// Decides who answers a question to the admin port, and with which page (protocol.md, "Admin").
// Pure.

/// A page of a node's admin port.
enum AdminPage: Equatable {
    case health, ready, metrics, endpoints, clusterNodes, gossipNodes
    /// `local`: this node.
    case clusterNode(String)
    case gossipNode(String)

    init?(_ path: [String]) {
        switch path.count {
        case 1: self.init(root: path[0])
        case 3: self.init(list: path)
        case 4 where path.starts(with: ["status", "cluster", "nodes"]): self = .clusterNode(path[3])
        case 4 where path.starts(with: ["status", "gossip", "nodes"]): self = .gossipNode(path[3])
        default: return nil
        }
    }

    private init?(root: String) {
        switch root {
        case "health": self = .health
        case "ready": self = .ready
        case "metrics": self = .metrics
        default: return nil
        }
    }

    private init?(list: [String]) {
        switch list {
        case ["status", "upstream", "endpoints"]: self = .endpoints
        case ["status", "cluster", "nodes"]: self = .clusterNodes
        case ["status", "gossip", "nodes"]: self = .gossipNodes
        default: return nil
        }
    }
}

/// Who answers.
enum AdminRoute: Equatable {
    case here(AdminPage)
    /// The node with this id.
    case node(String)
    /// Nobody has it: what the 404 says.
    case nowhere(String)

    init(_ request: AdminRequest, localID: String) {
        if let id = request.forward, id != localID {
            // Whoever passed it on took this node for another: passing it on again might never end.
            self = request.isForwarded ? .nowhere("this node is \(localID), not \(id)") : .node(id)
        } else {
            self = AdminPage(request.path).map { .here($0) } ?? .nowhere("not found")
        }
    }
}
