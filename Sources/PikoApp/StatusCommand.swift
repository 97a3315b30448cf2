// SPDX-License-Identifier: MIT
// `piko server status …`: asks the admin port of a node and prints YAML.
// Main thread.

import ArgumentParser
import PikoCore

struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Ask a node for its status.", version: CommandExit.version,
        subcommands: [StatusUpstream.self, StatusCluster.self, StatusGossip.self]
    )
}

struct StatusUpstream: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upstream", abstract: "Tunnels of a node.", version: CommandExit.version, subcommands: [Endpoints.self]
    )

    struct Endpoints: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "How many tunnels each endpoint has.")

        @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

        func run() throws {
            try StatusQuery(usage: "upstream endpoints", about: "Prints how many tunnels each endpoint has.", page: "upstream/endpoints")
                .run(arguments) { answer, _ in answer }
        }
    }
}

struct StatusCluster: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster", abstract: "Nodes of the cluster.", version: CommandExit.version, subcommands: [Nodes.self, Node.self]
    )

    struct Nodes: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "All nodes.")

        @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

        func run() throws {
            try StatusQuery(
                usage: "cluster nodes", about: "Prints the nodes of the cluster as the node that is asked sees them.", page: "cluster/nodes",
                keys: [StatusConfiguration.statusKey]
            ).run(arguments) { try $0.nodes(ofStatus: $1.status) }
        }
    }

    struct Node: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "One node.")

        @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

        func run() throws {
            try StatusQuery(
                usage: "cluster node ID", about: "Prints a node's status, addresses and endpoints. ID 'local' is the node that is asked.",
                page: "cluster/nodes", argument: "ID"
            ).run(arguments) { answer, _ in answer.clusterNode }
        }
    }
}

struct StatusGossip: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gossip", abstract: "State of gossip.", version: CommandExit.version, subcommands: [Nodes.self, Node.self]
    )

    struct Nodes: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "All nodes that gossip knows.")

        @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

        func run() throws {
            try StatusQuery(usage: "gossip nodes", about: "Prints the nodes that gossip knows.", page: "gossip/nodes")
                .run(arguments) { answer, _ in try answer.nodes(ofStatus: "") }
        }
    }

    struct Node: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "What gossip knows of one node.")

        @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

        func run() throws {
            try StatusQuery(usage: "gossip node ID", about: "Prints the keys that gossip knows of a node.", page: "gossip/nodes", argument: "ID")
                .run(arguments) { answer, _ in try answer.gossipNode() }
        }
    }
}
