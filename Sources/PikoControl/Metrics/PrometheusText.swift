// SPDX-License-Identifier: MIT
// Builds a page of metrics in Prometheus' text format 0.0.4.
// Pure; knows nothing of what is measured.

/// A page of metrics. Families in the order they are begun; all samples of a family follow its beginning.
public struct PrometheusText {
    public enum Kind: String {
        case counter, gauge, histogram
    }

    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// The page so far.
    public private(set) var text = ""
    private var family = ""

    public init() {}

    /// Begins a family. `name` is a metric name, `help` one line.
    public mutating func begin(_ name: String, _ kind: Kind, _ help: String) {
        family = name
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    }

    public mutating func sample(_ value: some BinaryInteger) { sample([], value) }

    public mutating func sample(_ labels: [(String, String)], _ value: some BinaryInteger) {
        line("", labels, String(value))
    }

    /// A histogram: a line for each bound with the count of all at most that, the sum and the count.
    public mutating func sample(_ labels: [(String, String)], _ histogram: Histogram, _ scale: Histogram.Scale) {
        var total: UInt64 = 0
        for (bound, count) in zip(scale.labels, histogram.counts) {
            total &+= count
            line("_bucket", labels + [("le", bound)], String(total))
        }
        line("_sum", labels, scale.sum(histogram.sum))
        line("_count", labels, String(total))
    }

    /// How many log lines were dropped: not of the original.
    public mutating func add(droppedLines: UInt64) {
        begin("piko_log_lines_dropped_total", .counter, "Log lines that could not be written or were too many.")
        sample(droppedLines)
    }

    private mutating func line(_ suffix: String, _ labels: [(String, String)], _ value: String) {
        text += family
        text += suffix
        if !labels.isEmpty {
            let pairs = labels.map { "\($0)=\"\(Self.escape($1))\"" }
            text += "{\(pairs.joined(separator: ","))}"
        }
        text += " \(value)\n"
    }

    private static func escape(_ value: String) -> String {
        var escaped = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }
}
