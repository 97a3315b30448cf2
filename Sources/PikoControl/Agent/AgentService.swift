// SPDX-License-Identifier: MIT
// What an agent does with a stream: the service behind a listener.
// Loop-confined.

import PikoCore
import PikoEngine

/// Serves the streams of one listener.
protocol AgentService: AnyObject {
    /// A stream was opened by the server: give it a handler, or leave it without one to refuse it.
    func serve(_ stream: Connection)
    /// Other limits and times, for what begins from now on.
    func configure(_ configuration: ListenerConfiguration)
    /// Ends what is idle; what runs goes on.
    func drain()
    /// Ends everything now, what is idle too.
    func end()
    /// Streams that have not closed yet.
    var count: Int { get }
}
