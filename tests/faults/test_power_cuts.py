"""Power cuts: what was acknowledged is there afterwards, on storage that keeps what is synced."""

from __future__ import annotations

import pytest

from . import beds, rooms


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_what_was_acknowledged_survives_a_power_cut(kind: str) -> None:
    if reason := beds.wants_disk(kind):
        pytest.skip(reason)

    tally = rooms.tried("power-cuts", "--on", kind, "--n", 52)

    assert tally.faults == {}
    assert tally.trials == 52
    assert tally.kinds["jobs"] >= 20 and tally.kinds["seen done"] >= 5


def test_without_any_sync_a_power_cut_is_noticed() -> None:
    if reason := beds.wants_disk("ext4"):
        pytest.skip(reason)

    tally = rooms.tried("power-cuts", "--on", "ext4", "--n", 3, "--settings", '{"durability": "fast"}')

    assert tally.torn or tally.lost
