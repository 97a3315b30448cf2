// SPDX-License-Identifier: MIT
// A configuration file as a tree, without knowledge of the format it was written in.
// Whoever parses the format makes it.

/// One node of the tree and the line where it begins, from 1.
public struct ConfigurationNode: Equatable, Sendable {
    public indirect enum Content: Equatable, Sendable {
        case null
        /// A text in quotes of which nothing is left, since it named variables that have no value.
        case unset
        /// As written, without its quotes.
        case scalar(String)
        case list([ConfigurationNode])
        /// In the order written. Keys may repeat: whoever reads it says so.
        case mapping([Entry])
    }

    public struct Entry: Equatable, Sendable {
        public var key: String
        public var line: Int
        public var value: ConfigurationNode

        public init(key: String, line: Int, value: ConfigurationNode) {
            self.key = key
            self.line = line
            self.value = value
        }
    }

    public var content: Content
    public var line: Int

    public init(_ content: Content, line: Int) {
        self.content = content
        self.line = line
    }
}
