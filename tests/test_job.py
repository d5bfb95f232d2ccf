"""Ids, ticket names, states and the record, apart from any disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtrl_spool.errors import InternalError
from qtrl_spool.job import (
    ID_LETTERS,
    MOVES,
    Move,
    State,
    Ticket,
    after,
    date_of,
    final_name,
    is_id,
    make_id,
    parse_final_name,
    parse_priority,
    record_of,
    utc,
    with_progress,
)

NOW = datetime(2026, 11, 23, 10, 15, 30, tzinfo=UTC)
LETTERS = st.text(ID_LETTERS, min_size=5, max_size=5)


def test_an_id_reads_well_and_sorts_by_time() -> None:
    assert make_id("Rabi of Q6!", now=NOW, letters="k3f9x") == "20261123-101530-rabi-of-q6-k3f9x"


@given(
    st.text(max_size=300),
    st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 1, 1)),
    LETTERS,
)
def test_whatever_the_name_the_id_is_one(name: str, now: datetime, letters: str) -> None:
    job_id = make_id(name, now=now.replace(tzinfo=UTC), letters=letters)

    assert is_id(job_id)
    assert len(job_id) < 80


@pytest.mark.parametrize(
    "text",
    ["", "rabi", "20261323-101530-rabi-k3f9x", "20261123-241530-rabi-k3f9x", "20261123-101530-k3f9x",
     "20261123-101530-rabi-k3f9x/..", "२०२६1123-101530-rabi-k3f9x",
     "20261123-101530-Rabi-k3f9x", "../20261123-101530-rabi-k3f9x"],
)  # fmt: skip
def test_what_is_no_id_is_told_apart(text: str) -> None:
    assert not is_id(text)


def test_an_id_names_the_date_of_its_home() -> None:
    assert date_of("20261123-101530-rabi-k3f9x") == "2026-11-23"


@given(st.integers(0, 999_999), st.integers(0, 10**12), st.text(max_size=60), LETTERS, st.integers(0, 10**6))
def test_a_ticket_is_read_back_from_its_name(
    priority: int, order: int, name: str, letters: str, claim: int
) -> None:
    ticket = Ticket(priority, order, make_id(name, now=NOW, letters=letters), claim)

    assert Ticket.parse(ticket.name) == ticket


def test_a_claim_only_raises_the_claim_number() -> None:
    ticket = Ticket(50, 12, "20261123-101530-rabi-k3f9x", 3)

    assert ticket.claimed().name == "50-000000012-20261123-101530-rabi-k3f9x.c4.qjob"


@given(st.text(max_size=80))
def test_no_text_breaks_the_reader_of_ticket_names(text: str) -> None:
    ticket = Ticket.parse(text)

    assert ticket is None or Ticket.parse(ticket.name) == ticket


@pytest.mark.parametrize("state", [State.DONE, State.FAILED, State.CANCELLED])
def test_a_finished_ticket_says_how_and_by_which_claim(state: State) -> None:
    assert parse_final_name(final_name(state, 7)) == (state, 7)


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("10-urgent", (10, "urgent")),
        ("10", (10, "")),
        ("urgent", None),
        ("10-", None),
        (".10", None),
        ("1 0", None),
    ],
)
def test_a_priority_is_a_number_and_perhaps_a_label(folder: str, expected: tuple[int, str] | None) -> None:
    assert parse_priority(folder) == expected


def test_a_move_that_the_table_does_not_list_raises() -> None:
    with pytest.raises(InternalError, match="a done job cannot claim"):
        after(State.DONE, Move.CLAIM)


def test_no_move_leads_out_of_a_final_state() -> None:
    assert not [state for state, _ in MOVES if state is not None and state.final]


def test_times_are_utc_with_six_decimals() -> None:
    here = datetime(2026, 11, 23, 11, 15, 30, tzinfo=timezone(timedelta(hours=1)))

    assert utc(here) == "2026-11-23T10:15:30.000000Z"


def event(kind: str, second: int, **details: object) -> dict[str, object]:
    return {"at": utc(NOW + timedelta(seconds=second)), "event": kind, **details}


ACCEPTED = event("accepted", 0, name="rabi", user="ada", priority=50, n_batches=4, config_version=1)
CLAIMED = event("claimed", 1, server="lab")
STARTED = event("started", 2, attempt=1, n_batches=4)


def test_the_record_of_an_accepted_job_is_queued() -> None:
    record = record_of("20261123-101530-rabi-k3f9x", [ACCEPTED])

    assert (record["state"], record["user"], record["accepted"]) == ("queued", "ada", ACCEPTED["at"])


def test_the_record_of_a_running_job_names_server_phase_and_start() -> None:
    record = record_of("20261123-101530-rabi-k3f9x", [ACCEPTED, CLAIMED, STARTED])

    assert (record["state"], record["server"], record["phase"]) == ("running", "lab", "acquiring")
    assert record["started"] == STARTED["at"]


def test_a_requeued_job_keeps_its_count_of_attempts_and_loses_its_server() -> None:
    record = record_of("20261123-101530-rabi-k3f9x", [ACCEPTED, CLAIMED, STARTED, event("requeued", 3)])

    assert (record["state"], record["server"], record["attempt"]) == ("queued", None, 1)


def test_a_failed_job_keeps_the_error_that_was_noted_before_its_ticket_moved() -> None:
    error = {"type": "BackendError", "message": "no trigger", "where": None, "hint": None}
    events = [ACCEPTED, CLAIMED, STARTED, event("error", 3, error=error), event("failed", 4)]

    record = record_of("20261123-101530-rabi-k3f9x", [*events[:3], event("failed", 4, error=error)])

    assert (record["state"], record["error"]) == ("failed", error)
    assert record_of("20261123-101530-rabi-k3f9x", events)["error"] == error


def test_a_done_job_has_all_its_batches_a_result_and_an_end() -> None:
    committed = event("committed", 9, result="jobs/2026-11-23/x/result.h5")

    record = record_of("20261123-101530-rabi-k3f9x", [ACCEPTED, CLAIMED, STARTED, committed])

    assert record["progress"] == {"batch": 4, "n_batches": 4, "fraction": 1.0}
    assert (record["state"], record["finished"]) == ("done", committed["at"])


def test_progress_is_a_fraction_of_the_batches() -> None:
    record = record_of("20261123-101530-rabi-k3f9x", [ACCEPTED, CLAIMED, STARTED])

    assert with_progress(record, 1, 4, "…")["progress"]["fraction"] == 0.25
