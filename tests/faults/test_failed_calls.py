"""Any call of the file system may be the one that fails, once or until somebody mends the storage."""

from __future__ import annotations

import pytest

from .conftest import Count, Trial

VERBS = {"submit", "accept", "claim", "heartbeat", "cancel", "recover", "config", "release"}


@pytest.mark.parametrize("part", range(2))
def test_a_call_that_fails_costs_no_job_and_ends_no_server(forked: Trial, count: Count, part: int) -> None:
    tally = forked("failed-calls", "--n", 250, "--seed", 250 * part)

    assert tally.faults == {}
    assert tally.trials == 250
    assert set(tally.kinds) >= VERBS
    count("failed calls", tally.trials)


def test_a_rename_whose_reply_gets_lost_has_been_made_and_everybody_finds_out(
    forked: Trial, count: Count
) -> None:
    tally = forked("lost-replies", "--n", 60)

    assert tally.faults == {}
    assert tally.trials == 60
    count("lost replies", tally.trials)
