"""Hard times that pass: the server says a sentence about each, lives on, and loses nothing."""

from __future__ import annotations

import pytest

from . import hardship, rooms
from .conftest import Count


@pytest.mark.parametrize("name", ["dead-replicas", "cut-network", "full-disk", "no-inodes", "read-only"])
def test_a_server_outlives_hard_times_and_brings_everything_to_its_end(name: str, count: Count) -> None:
    if reason := hardship.wants(name):
        pytest.skip(reason)

    tally = rooms.tried("hardship", "--on", name, "--n", 1)

    assert tally.faults == {}
    assert tally.kinds["jobs"] >= 3
    count("hardships", tally.trials)


def test_clocks_that_are_hours_off_and_jump_make_no_server_take_anothers_job(count: Count) -> None:
    if hardship.faketime() is None:
        pytest.skip("needs libfaketime")

    tally = rooms.tried("shifted-clocks", room=rooms.wanting() is None)

    assert tally.faults == {}
    assert tally.kinds["jobs"] == 12
    count("hardships", tally.trials)
