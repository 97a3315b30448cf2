# SPDX-License-Identifier: MIT
# The differential test: every head that we accept, h11 and httptools accept with the same meaning,
# and so they do with the head we send on.

import functools

import pytest

from differential import heads
from differential.ours import dump
from differential.reading import Reading
from differential.verdict import judge

MUTATIONS = 20_000


@functools.cache
def written(kind):
    return list(heads.requests() if kind == "Q" else heads.responses())


@functools.cache
def mutated(kind):
    """Mutations of heads that are fine: most others stay refused for the same reason."""
    fine = [head for head, ours in zip(written(kind), dump(kind, written(kind))) if isinstance(ours, Reading) and len(head) < 2000]
    return heads.mutations(fine, MUTATIONS, seed=2)


def check(kind, given, capsys):
    verdict = judge(kind, given)
    with capsys.disabled():
        print(f"\n  {kind}: {verdict}")
    assert verdict.accepted, "nothing was accepted: nothing was compared"
    assert not verdict.wrong, verdict.explain()


def test_hand_written_requests_mean_the_same_to_all(capsys):
    check("Q", written("Q"), capsys)


def test_the_fuzzing_corpus_means_the_same_to_all(capsys):
    check("Q", list(heads.corpus()), capsys)


def test_mutated_requests_mean_the_same_to_all(capsys):
    check("Q", mutated("Q"), capsys)


@pytest.mark.parametrize("kind", ["R", "H", "C", "U"])
def test_hand_written_responses_mean_the_same_to_all(kind, capsys):
    check(kind, written(kind), capsys)


def test_mutated_responses_mean_the_same_to_all(capsys):
    check("R", mutated("R"), capsys)
