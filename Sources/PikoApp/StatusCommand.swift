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
            try StatusQuery.run(arguments, usage: "upstream endpoints", about: "Prints how many tunnels each endpoint has.") { _ in
                "/status/upstream/endpoints"
            }
        }
    }
}

struct StatusCluster: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster", abstract: "Nodes of the cluster (not supported yet).", version: CommandExit.version,
        subcommands: [Nodes.self, Node.self]
    )

    struct Nodes: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "All nodes (not supported yet).")

        @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

        func run() throws {
            try NotYet.run(arguments, name: "server status cluster", usage: "server status cluster nodes [--status STATUS]", about: "Prints the nodes of the cluster.")
        }
    }

    struct Node: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "One node (not supported yet).")

        @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

        func run() throws {
            try NotYet.run(arguments, name: "server status cluster", usage: "server status cluster node ID", about: "Prints what is known of a node.")
        }
    }
}

struct StatusGossip: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gossip", abstract: "State of gossip (not supported yet).", version: CommandExit.version,
        subcommands: [Nodes.self, Node.self]
    )

    struct Nodes: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "All nodes (not supported yet).")

        @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

        func run() throws {
            try NotYet.run(arguments, name: "server status gossip", usage: "server status gossip nodes", about: "Prints the nodes that gossip knows.")
        }
    }

    struct Node: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "One node (not supported yet).")

        @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

        func run() throws {
            try NotYet.run(arguments, name: "server status gossip", usage: "server status gossip node ID", about: "Prints what gossip knows of a node.")
        }
    }
}
