// SPDX-License-Identifier: MIT
// The help of one command, apart from its flags.
// Pure.

struct CommandHelp {
    /// Without "piko".
    var usage: String
    /// A few lines.
    var about: String

    /// The whole page.
    func text(_ flags: String) -> String {
        """
        \(about)

        Usage: piko \(usage)

        Flags:
        \(flags)
          --version
                Print the version.
          -h, --help
                Print this help.
        """
    }
}
