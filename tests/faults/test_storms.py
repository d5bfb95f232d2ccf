"""Servers that are killed and frozen at random, wherever the spool lies."""

from __future__ import annotations

import pytest

from . import beds, rooms
from .conftest import Count


@pytest.mark.parametrize(
    ("bed", "n"), [("gluster", 12), ("sshfs", 10), ("lossy", 12), ("bindfs", 40), ("plain", 50)]
)
def test_servers_that_are_killed_and_frozen_at_random_lose_nothing_and_publish_once(
    bed: str, n: int, count: Count
) -> None:
    if reason := beds.wants(bed):
        pytest.skip(reason)

    tally = rooms.tried("kills", "--on", bed, "--n", n, room=bed != "plain")

    assert tally.faults == {}
    assert tally.trials >= n
    assert tally.kinds["freezes"] > 0
    count("kills", tally.trials)
