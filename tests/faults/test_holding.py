"""A hold that was answered is kept, whatever the server was about to do."""

from __future__ import annotations

from .conftest import Trial


def test_a_hold_counts_of_a_job_that_stopped_and_cannot_be_written_yet(forked: Trial) -> None:
    tally = forked("late-hold", "--n", 1)

    assert tally.faults == {}
    assert tally.trials == 1


def test_a_record_that_cannot_be_written_keeps_no_other_job_and_no_server_from_its_end(forked: Trial) -> None:
    tally = forked("damaged-file", "--n", 2)

    assert tally.faults == {}
    assert tally.trials == 2
