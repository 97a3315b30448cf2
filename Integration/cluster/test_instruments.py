# SPDX-License-Identifier: MIT
# The instruments of this folder, proven able to see what they look for: failures, wrong answers, silence, POSTs that arrive twice,
# streams that are cut. Without a fault they see none, through one node behind the balancer too.

import socket
import subprocess
import sys
import time

import pytest

from harness.usage import eventually

from .place import Namespaces
from .traffic import Load, Requests, Service, Streams, Talk, Talks

pytestmark = pytest.mark.alone


def loaded(directory, *flags, seconds=2.0):
    service = Service(directory).start(*flags)
    load = Load(directory, service.web, "web", workers=8, rate=50)
    time.sleep(seconds)
    load.finish()
    service.stop()
    return load.result(), service


def test_load_without_a_fault_fails_nothing(tmp_path):
    requests, service = loaded(tmp_path)
    assert len(requests) > 400 and not requests.failed and not service.duplicates()
    assert requests.gap()[0] < 1.0


def test_load_sees_answers_that_are_dropped(tmp_path):
    requests, _ = loaded(tmp_path, "--drop", 50)
    assert len(requests) // 50 - 1 <= len(requests.failed) <= len(requests) // 50 + 1, requests.reasons()


def test_load_sees_the_answer_of_another(tmp_path):
    requests, _ = loaded(tmp_path, "--wrong", 50)
    assert len(requests) // 50 - 1 <= len(requests.failed) <= len(requests) // 50 + 1
    assert all(request.outcome == "wrong" for request in requests.failed)


def test_load_sees_a_worker_that_waits(tmp_path):
    requests, _ = loaded(tmp_path, "--stall", 300)
    assert not requests.failed and 2.0 <= requests.gap()[0] < 3.5


def test_load_sees_a_service_that_is_gone(tmp_path):
    service = Service(tmp_path).start()
    load = Load(tmp_path, service.web, "web", workers=8, rate=50)
    service.stop()
    time.sleep(1)
    service.start()
    time.sleep(0.5)
    load.finish()
    service.stop()
    requests = load.result()
    assert len(requests.failed) > 100 and requests.gap()[0] > 1.0
    assert any("dial-ConnectionRefusedError" in reason for reason in requests.reasons())


def test_the_service_sees_a_post_that_comes_twice(tmp_path):
    service = Service(tmp_path).start()
    post = b"POST / HTTP/1.1\r\nx-id: 1-%d\r\nContent-Length: 5\r\n\r\n1-%d b"
    with socket.create_connection(("127.0.0.1", service.ports[0])) as sock:
        for number in (1, 2, 1):
            sock.sendall(post % (number, number))
            assert b" 200 " in sock.recv(1000)
    service.stop()
    assert service.duplicates() == {"1-1": 2}


def test_streams_see_that_they_are_cut(tmp_path):
    service = Service(tmp_path).start()
    streams = Streams(tmp_path, service.echo, 1)
    time.sleep(0.5)
    told = time.monotonic()
    service.stop()
    gone = time.monotonic()
    service.start()
    time.sleep(0.5)
    streams.finish()
    service.stop()
    talks = streams.result()
    assert len(talks.cut) == 4 and not talks.wrong
    assert not talks.early([(told, 0.0, gone)]) and len(talks.early([(told, 5.0, gone + 5)])) == 4


def test_a_gap_is_what_one_worker_missed():
    text = "".join(f"{t:.1f} {t + 0.05:.2f} {worker} get-kept {'ok' if worker or t < 2 or t > 5 else '502:x'}\n" for t in range(10) for worker in (0, 1))
    requests = Requests(text)
    assert requests.gap()[0] == pytest.approx(5.0) and requests.gap()[2] == 0 and len(requests.failed) == 4
    assert requests.gap(since=6.1)[0] == pytest.approx(1.0)
    assert requests.failed_from(5) == [r for r in requests.failed if r.start == 5.0]


def test_a_stream_is_cut_early_unless_somebodys_grace_was_over():
    talk = Talk(0.0, 15.0, 1, 0.1, 10, 10, "closed")
    assert not Talks([talk]).early([(10.0, 5.0, 15.2)])
    assert Talks([talk]).early([(11.0, 5.0, 16.2)]) and Talks([talk]).early([(1.0, 5.0, 6.2)])


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mode", ["http", "tcp"])
def test_one_node_behind_the_balancer_loses_nothing_while_nothing_happens(scene, mode):
    scene = scene(size=1, mode=mode)
    scene.run_load()
    time.sleep(3)
    requests, talks = scene.finish()
    assert len(requests) > 700 and not requests.failed, requests.reasons()
    assert not talks.cut and not talks.refused and not scene.service.duplicates()
    assert {talk.how for talk in talks.all} == {"alive"} and min(talk.back for talk in talks.all) > 30


@pytest.mark.timeout(120)
def test_a_node_that_is_killed_is_noticed_by_load_and_streams(scene):
    """The only node: everything fails for a while."""
    scene = scene(size=1)
    scene.run_load()
    member = scene.cluster.members[0]
    member.kill()
    time.sleep(1)
    member.start()
    eventually(lambda: scene.tunnels() == scene.wanted)
    scene.balancer.wait_up([member])
    time.sleep(1)
    requests, talks = scene.finish()
    assert len(requests.failed) > 100 and requests.gap()[0] > 1.0
    assert len(talks.cut) == 4


LISTEN = "import socket, time; s = socket.create_server(('0.0.0.0', 9000)); time.sleep(60)"
DIAL = "import socket, sys; socket.create_connection((sys.argv[1], 9000), 0.5)"


def reaches(place, number, host):
    return subprocess.run([*place.prefix(number), sys.executable, "-c", DIAL, host], stderr=subprocess.DEVNULL, timeout=20).returncode == 0


@pytest.mark.namespaces
def test_a_cut_parts_two_nodes_and_nobody_else():
    place = Namespaces(3)
    listener = subprocess.Popen([*place.prefix(1), sys.executable, "-c", LISTEN])
    try:
        eventually(lambda: reaches(place, 0, "10.78.0.11"), what="the other node")
        place.cut(0)
        assert not reaches(place, 0, "10.78.0.11") and reaches(place, 2, "10.78.0.11")
        socket.create_connection(("10.77.0.11", 9000), 2).close()
        place.heal(0)
        eventually(lambda: reaches(place, 0, "10.78.0.11"), 3, "the other node again")
    finally:
        listener.kill()
        listener.wait()
        place.close()


@pytest.mark.namespaces
@pytest.mark.timeout(120)
def test_one_node_in_a_namespace_serves_too(scene):
    scene = scene(size=1, place=Namespaces(1))
    scene.run_load()
    requests, talks = scene.finish()
    assert requests.all and not requests.failed and not talks.cut, requests.reasons()
