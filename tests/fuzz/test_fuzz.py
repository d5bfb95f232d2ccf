"""No reader of what others wrote fails otherwise than by a refusal, whatever it is given.

``FUZZ_EXAMPLES`` says how many inputs, 2,000 by default; ``python -m tests.fuzz`` gives a million.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qtrl_spool.config.merge import parse_patch
from qtrl_spool.config.yaml12 import parse_yaml
from qtrl_spool.errors import QtrlSpoolError

from .targets import TARGETS, attempt, default

N_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2000"))


@pytest.mark.parametrize("target", TARGETS)
def test_a_reader_takes_its_input_or_refuses_it_in_a_sentence(
    target: str, count: Callable[[str, int], None]
) -> None:
    n_tried, n_wanted = 0, -(-N_EXAMPLES // len(TARGETS))

    @settings(
        max_examples=n_wanted,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def try_it(chance: Random) -> None:
        nonlocal n_tried
        n_tried += 1
        attempt(target, chance)

    try_it()
    assert n_tried >= n_wanted
    count("fuzz examples", n_tried)


FOUND: dict[str, Callable[[], object]] = {
    "a key of five thousand digits": lambda: parse_patch({"variables": {"9" * 5000: 1}}),
    "a path with five thousand digits": lambda: parse_patch({"variables/" + "9" * 5000: 1}),
    "a text with such a key": lambda: parse_yaml('{"' + "9" * 5000 + '": 1}', "text"),
    "a patch that has a document of the wrong kind": lambda: default().merged(parse_patch({"": {"a": 1}})),
    "a pulse by an upper digit": lambda: default().pulses["²"],
}


@pytest.mark.parametrize("case", FOUND)
def test_what_was_found_once_stays_mended(case: str) -> None:
    with contextlib.suppress(QtrlSpoolError):
        FOUND[case]()


def test_readers_take_some_of_their_inputs_and_refuse_others() -> None:
    for target in TARGETS:
        answers = {attempt(target, Random(seed)) for seed in range(200)}
        assert answers == ({True} if target == "name" else {True, False}), target


def test_the_command_tells_its_tally_as_one_line() -> None:
    words = [sys.executable, "-m", "tests.fuzz", "--n", "50", "--seed", "7"]
    made = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    tally = json.loads(made.stdout)

    assert made.returncode == 0
    assert len(made.stdout.splitlines()) == 1
    assert (tally["inputs"], tally["crashes"]) == (50, 0)
    assert tally["worst_s"] < 10


def test_the_command_fails_when_a_reader_does() -> None:
    script = (
        "import sys\nfrom tests.fuzz import targets\nimport tests.fuzz.__main__ as command\n"
        "calls = [0]\n"
        "def broken(chance):\n"
        "    calls[0] += 1\n"
        "    if calls[0] > 1: raise ZeroDivisionError('found')\n"
        "targets.TARGETS['name'] = broken\n"
        "sys.argv = ['x', '--n', '3', '--target', 'name']\n"
        "sys.exit(command.main())\n"
    )
    made = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )

    assert made.returncode == 1
    assert json.loads(made.stdout)["crashes"] == 3
