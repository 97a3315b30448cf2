// SPDX-License-Identifier: MIT
// The version of this program, in one place.

public enum PikoVersion {
    public static let text = "0.1.0"
}
