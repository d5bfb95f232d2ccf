"""kill -9 before a change of the disk, in every way that a server changes it."""

from __future__ import annotations

from .conftest import Count, Trial


def test_a_server_killed_at_any_step_loses_nothing_and_does_nothing_twice_whoever_goes_on(
    forked: Trial, count: Count
) -> None:
    tally = forked("deaths", "--n", 110)

    assert tally.faults == {}
    assert tally.trials >= 110
    count("deaths", tally.trials)
