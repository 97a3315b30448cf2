// SPDX-License-Identifier: MIT
// The flags that say which configuration file to read, and whether to do no more than that.
// Of every command that has a file; never in the file itself.

public struct FileOptions: Equatable, Sendable {
    /// Empty: no file.
    public var path = ""
    public var expandEnv = false
    public var check = false

    public init() {}

    public static var keys: [ConfigurationKey<Self>] {
        [
            .init("path", \.path, .path, "YAML file to read the configuration from. Flags win over it."),
            .init("expand_env", \.expandEnv, .boolean, "Replace $VAR, ${VAR} and ${VAR:default} in the file by environment variables."),
            .init("check", \.check, .boolean, "Only say whether the configuration, and the files that it names, are right: exit with 0 or 1."),
        ]
    }
}
