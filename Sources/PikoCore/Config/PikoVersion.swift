// SPDX-License-Identifier: MIT
// The version of this program, in one place.
// A plain value; any thread.

public enum PikoVersion {
    public static let text = "0.1.0"
}
