# SPDX-License-Identifier: MIT
# `--repeat N` runs each fault with N seeds, beginning at `--seed`. `scene` makes whole clusters; `result` takes a run's figures and
# writes them down when the test is over.

import pytest

from .results import Result
from .scene import Scene


def pytest_generate_tests(metafunc):
    if "seed" in metafunc.fixturenames:
        first = metafunc.config.getoption("seed")
        metafunc.parametrize("seed", range(first, first + metafunc.config.getoption("repeat")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call":
        item.failure = str(call.excinfo.value) if call.excinfo else None
    return report


@pytest.fixture
def result(request, loops, seed):
    """Figures of this run, by name."""
    result = Result(seed=seed, loops=loops)
    yield result
    chosen = [str(value) for name, value in request.node.callspec.params.items() if name != "seed"] if hasattr(request.node, "callspec") else []
    fault = " ".join([request.node.originalname.removeprefix("test_").replace("_", " "), *chosen])
    result.write(fault, getattr(request.node, "failure", "did not start"))


@pytest.fixture
def scene(request, tmp_path, loops, armour, result):
    """Makes the scene of a fault: scene(size=3, ...). Everything ends with the test."""
    made = []

    def make(**options):
        made.append(Scene(tmp_path, loops, result, armour=armour, **options))
        return made[-1].start()

    yield make
    for each in made:
        each.close()
