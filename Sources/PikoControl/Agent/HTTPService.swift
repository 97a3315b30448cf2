// SPDX-License-Identifier: MIT
import PikoCore
import PikoEngine
final class HTTPService: AgentService {
    init(_ configuration: ListenerConfiguration, place: ConfiguredURL, owner: AgentLoop) {}
    func serve(_ stream: Connection) {}
    func drain() {}
    func end() {}
}
