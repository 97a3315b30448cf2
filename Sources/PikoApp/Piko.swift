// SPDX-License-Identifier: MIT
@main struct Piko { static func main() {} }
