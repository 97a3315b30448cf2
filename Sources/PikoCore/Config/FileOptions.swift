// SPDX-License-Identifier: MIT
// The flags that say which configuration file to read.
// Of every command that has a file; never in the file itself.

public struct FileOptions: Equatable, Sendable {
    /// Empty: no file.
    public var path = ""
    public var expandEnv = false

    public init() {}

    public static var keys: [ConfigurationKey<Self>] {
        [
            .init("path", \.path, .path, "YAML file to read the configuration from. Flags win over it."),
            .init("expand_env", \.expandEnv, .boolean, "Replace $VAR, ${VAR} and ${VAR:default} in the file by environment variables."),
        ]
    }
}
