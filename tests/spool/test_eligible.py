"""Whether a job may run now, and why not, apart from any disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool.job import State, Ticket, utc
from qtrl_spool.spool.eligible import LONGEST_BACKOFF_S, Facts, Pause, backoff_s, why_not
from qtrl_spool.spool.tickets import Place

NOW = datetime(2026, 11, 23, 10, 15, 30, tzinfo=UTC)
OTHER = "20261123-101530-rabi-k3f9x"
WARM = Pause("fridge1", "the fridge is warm", "simulator", utc(NOW), by_backend=True)
VISIT = Pause(None, "a visit", "root", utc(NOW))


def why(record: dict[str, Any], facts: Facts, state: State = State.QUEUED) -> str | None:
    place = Place(Ticket(50, 1, "20261123-101531-t1-aaaaa"), Path("ticket"), state)
    return why_not(place, record, now=NOW, facts=facts)


def facts(*servers: str, pauses: tuple[Pause, ...] = (), still_open: tuple[str, ...] = ()) -> Facts:
    return Facts({each: each for each in servers}, pauses, still_open.__contains__)


def in_s(seconds: float) -> str:
    return utc(NOW + timedelta(seconds=seconds))


def test_a_job_that_waits_for_nothing_may_run() -> None:
    assert why({}, facts("fridge1")) is None


@pytest.mark.parametrize(
    ("record", "known", "reason"),
    [
        ({}, facts(), "no server is running"),
        ({"instrument": "fridge2"}, facts("fridge1"), "no server takes instrument fridge2"),
        ({}, facts("fridge1", pauses=(VISIT,)), "the queue is paused: a visit"),
        ({}, facts("fridge1", pauses=(WARM,)), "instrument fridge1 is paused: the fridge is warm"),
        ({"after": [OTHER]}, facts("fridge1", still_open=(OTHER,)), f"after job {OTHER}"),
        ({"not_before": in_s(60)}, facts("fridge1"), "not before 2026-11-23 10:16:30 UTC"),
        (
            {"retry_at": in_s(2)},
            facts("fridge1"),
            "the instrument failed: it is tried again at 2026-11-23 10:15:32 UTC",
        ),
    ],
)
def test_a_job_that_may_not_run_says_why(record: dict[str, Any], known: Facts, reason: str) -> None:
    assert why(record, known) == reason


@pytest.mark.parametrize(
    ("record", "known"),
    [
        ({"instrument": "fridge1"}, facts("fridge1", "fridge2")),
        ({}, facts("fridge1", "fridge2", pauses=(WARM,))),
        ({"after": [OTHER]}, facts("fridge1")),
        ({"not_before": in_s(0), "retry_at": in_s(-1)}, facts("fridge1")),
        ({"not_before": None, "retry_at": None, "after": None, "instrument": None}, facts("fridge1")),
    ],
)
def test_what_is_over_or_concerns_others_keeps_no_job_waiting(record: dict[str, Any], known: Facts) -> None:
    assert why(record, known) is None


def test_an_attempt_later_than_any_server_would_ask_for_is_one_of_a_wrong_clock() -> None:
    hours_ahead, longest = {"retry_at": in_s(6 * 3600)}, {"retry_at": in_s(LONGEST_BACKOFF_S)}

    assert why(hours_ahead, facts("fridge1")) is None
    assert why(longest, facts("fridge1")) is not None


def test_a_job_for_a_paused_instrument_waits_though_another_one_takes_jobs() -> None:
    known = facts("fridge1", "fridge2", pauses=(WARM,))

    assert why({"instrument": "fridge1"}, known) == "instrument fridge1 is paused: the fridge is warm"


def test_a_held_job_says_who_holds_it() -> None:
    assert why({"reason": "held by ada"}, facts("fridge1"), State.HELD) == "held by ada"


def test_the_time_between_attempts_doubles_up_to_five_minutes() -> None:
    assert [backoff_s(n) for n in (1, 2, 3, 8, 9, 100)] == [2, 4, 8, 256, 300, 300]
