"""Any call of the file system may be the one that fails, once or until somebody mends the storage."""

from __future__ import annotations

import pytest

from . import sweep
from .conftest import Count, Trial


@pytest.mark.parametrize(("first", "verbs"), [(0, sweep.VERBS), (250, ("accept", "recover", "config"))])
def test_a_call_that_fails_costs_no_job_and_ends_no_server(
    forked: Trial, count: Count, first: int, verbs: tuple[str, ...]
) -> None:
    tally = forked("failed-calls", "--n", 250, "--seed", first)

    assert tally.faults == {}
    assert tally.trials == 250
    assert set(tally.kinds) >= set(verbs)
    count("failed calls", tally.trials)


def test_a_drop_that_the_storage_did_not_show_for_a_moment_is_neither_rejected_nor_somebody_elses(
    forked: Trial,
) -> None:
    tally = forked("failed-calls", "--n", 100, "--only", "ESTALE at lstat accepting/lab/N~ID")

    assert tally.faults == {}
    assert tally.kinds["accept"] > 20


def test_a_rename_whose_reply_gets_lost_has_been_made_and_everybody_finds_out(
    forked: Trial, count: Count
) -> None:
    tally = forked("lost-replies", "--n", 60)

    assert tally.faults == {}
    assert tally.trials == 60
    count("lost replies", tally.trials)
