"""Where a job is, in one sentence."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from qtrl_spool.cli.words import clock, lasting, ordinal, sentence, why
from qtrl_spool.job import blank_record

NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(clock_utc: str) -> str:
    return f"2026-11-23T{clock_utc}:00.000000Z"


def record(state: str, **more: Any) -> dict[str, Any]:
    return {**blank_record("20261123-101530-rabi-k3f9x", "rabi"), "state": state, "reason": None, **more}


ETA = {"eta_start": at("17:05"), "eta_start_low": at("17:00"), "eta_start_high": at("17:20")}
ENDS = {"eta_finish": at("17:05"), "eta_finish_low": at("17:00"), "eta_finish_high": at("17:20")}
THIRD = {"place": 3, "ahead": 2, "users_ahead": ["ada", "bob"]}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            record("queued", **THIRD, reason="waiting for 2 jobs (of ada and bob)", **ETA),
            "3rd in the queue: 2 jobs of ada and bob are ahead; expected to start at 18:05 (18:00–18:20) CET",
        ),
        (
            record("queued", place=1, ahead=0, reason="next, after the running job"),
            "next in the queue, after the running job",
        ),
        (record("queued", reason="not yet accepted"), "queued: not yet accepted"),
        (
            record("queued", **THIRD, reason="after job 20261123-101529-t1-aaaaa", **ETA),
            "queued: after job 20261123-101529-t1-aaaaa; expected to start at 18:05 (18:00–18:20) CET",
        ),
        (
            record("queued", **THIRD, reason="the queue is paused: fridge warm"),
            "3rd in the queue: the queue is paused: fridge warm",
        ),
        (
            record(
                "paused", ahead=1, reason="waiting for 1 job (of eve)",
                progress={"batch": 3, "n_batches": 9},
            ),
            "paused after batch 3 of 9; goes on when it is its turn: waiting for 1 job (of eve)",
        ),
        (
            record(
                "running", server="lab", phase="acquiring", **ENDS,
                progress={"batch": 3, "n_batches": 9, "elapsed_s": 240.0, "remaining_s": 3900.0},
            ),
            "running on lab: batch 3 of 9, for 4 min, 1 h 5 min left, ends at 18:05 (18:00–18:20) CET",
        ),
        (record("running", server="lab", phase="compiling"), "running on lab: compiling"),
        (record("held", reason="held by ada"), "held by ada"),
        (record("done", started=at("14:00"), finished=at("14:30")), "done at 15:30 CET, after 30 min"),
        (
            record("failed", finished=at("14:30"), error={"message": "no such pulse"}),
            "failed at 15:30 CET: no such pulse",
        ),
        (record("cancelled", finished=at("14:30"), reason="by ada"), "cancelled at 15:30 CET: by ada"),
    ],
)  # fmt: skip
def test_every_state_is_told_in_a_sentence(said: dict[str, Any], told: str) -> None:
    assert sentence(said, NOW) == told


def test_with_no_server_it_says_as_of_when() -> None:
    told = sentence(record("queued", **THIRD, reason="no server is running"), NOW, at("15:02"))

    assert told == (
        "3rd in the queue: 2 jobs of ada and bob are ahead (as of 16:02 CET, no server is running)"
    )


def test_that_no_server_ever_ran_is_said() -> None:
    told = sentence(record("queued", reason="not yet accepted"), NOW, is_served=False)

    assert told == "queued: not yet accepted (no server is running)"


def test_that_no_server_is_running_is_said_once() -> None:
    told = sentence(record("queued", place=1, ahead=0, reason="no server is running"), NOW, at("15:02"))

    assert told == "1st in the queue: no server is running (as of 16:02 CET)"


def test_what_has_ended_is_never_stale() -> None:
    assert "as of" not in sentence(record("done", finished=at("14:30")), NOW, at("15:02"))


def test_a_time_of_another_day_is_told_with_the_day() -> None:
    assert clock("2026-11-24T08:00:00.000000Z", NOW) == "Tue 24 Nov 09:00"
    assert clock("2025-01-02T08:00:00.000000Z", NOW) == "2025-01-02 09:00"


def test_a_time_that_is_near_is_told_with_seconds() -> None:
    assert clock("2026-11-23T16:00:05.000000Z", NOW) == "17:00:05"


def test_the_time_before_which_a_job_may_not_start_is_told_in_the_local_zone() -> None:
    waits = record("queued", reason="not before 2026-11-23 18:00:00 UTC", not_before=at("18:00"))

    assert why(waits, NOW) == "not before 19:00"


def test_what_keeps_all_jobs_is_told_behind_the_time_before_which_one_may_not_start() -> None:
    reason = "not before 2026-11-23 18:00:00 UTC; the queue is paused: fridge warm"
    waits = record("queued", reason=reason, not_before=at("18:00"))

    assert why(waits, NOW) == "not before 19:00; the queue is paused: fridge warm"


def test_numbers_are_told_as_people_say_them() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 1002)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "1,002nd")
    ]
    assert [lasting(s) for s in (5, 119, 600, 3590, 8000, 200_000)] == [
        *("5 s", "119 s", "10 min", "1 h 0 min", "2 h 13 min", "2 d 8 h")
    ]
