# SPDX-License-Identifier: MIT
# An agent that has its 101 is selected: a request sent at that very moment, on whatever loop, finds its tunnel.
# Many short rounds, since the moment is short.

from peer.agent import FakeAgent
from peer.client import Client
from peer.service import reply


def test_a_request_right_after_the_upgrade_finds_the_tunnel(piko):
    node = piko.server()
    clients = [Client(node.proxy) for _ in range(8)]
    try:
        for number in range(300):
            with FakeAgent(node.upstream, f"e{number}", reply()):
                client = clients[number % len(clients)]
                assert client.request(f"e{number}", "/now").response().status == 200, number
    finally:
        for client in clients:
            client.close()
