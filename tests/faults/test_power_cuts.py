"""Power cuts: what was acknowledged is there afterwards, on storage that keeps what is synced."""

from __future__ import annotations

import pytest

from . import beds, rooms
from .conftest import Count


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_what_was_acknowledged_survives_a_power_cut(kind: str, count: Count) -> None:
    if reason := beds.wants_disk(kind):
        pytest.skip(reason)

    tally = rooms.tried("power-cuts", "--on", kind, "--n", 52)

    assert tally.faults == {}
    assert tally.trials == 52
    assert tally.kinds["jobs"] >= 20 and tally.kinds["seen done"] >= 5
    count("power cuts", tally.trials)


def test_without_any_sync_a_power_cut_is_noticed() -> None:
    if reason := beds.wants_disk("ext4"):
        pytest.skip(reason)

    tally = rooms.tried("power-cuts", "--on", "ext4", "--n", 12, "--settings", '{"durability": "fast"}')

    assert tally.torn or tally.lost or tally.undone
