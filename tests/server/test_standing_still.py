"""A server that stands still for longer than its lease, and what it writes when it wakes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool import Spool, fs
from qtrl_spool.job import State, Ticket
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.server.recovery import take_over
from qtrl_spool.spool.journal import Journal, claimed_result, read_events, read_status
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.marks import Marks
from qtrl_spool.spool.tickets import Place, Tickets, find

from .intakes import drop, intake_of, queued

JOB = "20261123-101530-rabi-k3f9x"


class Killed(BaseException):
    """The server was killed."""


@pytest.fixture
def layout(spool: Spool) -> Layout:
    return Layout(spool.path)


class Server:
    """What a server writes with."""

    def __init__(self, layout: Layout, name: str) -> None:
        self.layout, self.name = layout, name
        self.marks = Marks(layout, name, durable=False)
        self.journal = Journal(layout, name, durable=False, answers=self.marks.open)
        self.moves = Tickets(layout, durable=False)
        self.outcome = Outcome(layout, self.journal, self.moves, name, max_attempts=5)

    def claims(self) -> Place:
        """Claim the job and write a result."""
        waiting = find(self.layout, JOB)
        assert waiting is not None
        self.outcome.open(JOB)
        mine = self.moves.claim(waiting, self.name)
        assert mine is not None
        (self.layout.home(JOB) / claimed_result(mine.ticket.claim)).write_bytes(self.name.encode())
        self.journal.note(JOB, mine.ticket.claim, "claimed", server=self.name)
        return mine

    def takes_over_from(self, dead: str) -> None:
        """Take the other one for dead."""
        take_over(self.layout, self.outcome, dead, self.name)


@pytest.fixture
def lab(layout: Layout) -> Server:
    """Return a server whose job waits in the queue."""
    server = Server(layout, "lab")
    server.journal.open_home(JOB)
    server.journal.note(JOB, 0, "accepted", priority=50, name="rabi")
    (layout.queue / "50-normal" / Ticket(50, 1, JOB).name).write_bytes(b"ticket")
    server.outcome.close(JOB)
    return server


@pytest.fixture
def other(layout: Layout) -> Server:
    return Server(layout, "other")


@pytest.fixture(params=["goes on", "is killed"])
def then(request: pytest.FixtureRequest) -> str:
    """Return what becomes of the sleeper right after it has put a record in its place."""
    return str(request.param)


def stands_still(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object], then: str) -> list[str]:
    """Let others do something right before a record comes to its place; return what was done."""
    replace, done = os.replace, list[str]()

    def late(source: Any, target: Any) -> None:
        if not str(target).endswith("status.json"):
            replace(source, target)
            return
        monkeypatch.setattr(os, "replace", replace)
        meanwhile()
        done.append("meanwhile")
        try:
            replace(source, target)
        finally:
            if then == "is killed":
                raise Killed

    monkeypatch.setattr(os, "replace", late)
    return done


def state(layout: Layout, job_id: str = JOB) -> str:
    return str((read_status(layout, job_id) or {})["state"])


def marks(layout: Layout) -> list[str]:
    return [path.name for path in layout.running.glob("*/*.open")]


def test_who_gave_a_job_back_leaves_the_record_of_those_who_ran_it_since(
    layout: Layout, lab: Server, other: Server, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = lab.claims()

    def taken_over_and_done() -> None:
        other.takes_over_from("lab")
        assert other.outcome.commit(other.claims())

    done = stands_still(monkeypatch, taken_over_and_done, then)
    with contextlib.suppress(Killed):
        assert lab.outcome.requeue(mine, "the server was to end")

    assert done and state(layout) == "done"
    assert marks(layout) == [] and list(layout.home(JOB).glob(".*.tmp")) == []


def test_who_gave_a_job_back_and_was_never_missed_writes_the_record_of_those_who_ran_it_since(
    layout: Layout, lab: Server, other: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = lab.claims()
    done = stands_still(monkeypatch, lambda: other.outcome.commit(other.claims()), "goes on")

    assert lab.outcome.requeue(mine, "the server was to end")

    assert done and state(layout) == "done" and marks(layout) == []


def test_who_is_killed_when_it_wakes_and_was_never_missed_has_left_its_mark(
    layout: Layout, lab: Server, other: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = lab.claims()
    done = stands_still(monkeypatch, lambda: other.outcome.commit(other.claims()), "is killed")

    with contextlib.suppress(Killed):
        lab.outcome.requeue(mine, "the server was to end")
    was = state(layout)
    other.takes_over_from("lab")

    assert done and was == "queued" and state(layout) == "done" and marks(layout) == []


def test_who_writes_how_far_a_job_is_that_it_lost_leaves_the_record_of_those_who_ran_it_since(
    layout: Layout, lab: Server, other: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.claims()

    def taken_over_and_done() -> None:
        other.takes_over_from("lab")
        assert other.outcome.commit(other.claims())

    done = stands_still(monkeypatch, taken_over_and_done, "goes on")
    lab.journal.progress(JOB, 1, 2)

    assert done and state(layout) == "done"


def test_who_notes_a_hold_of_a_job_that_was_released_and_done_meanwhile_says_so(
    layout: Layout, lab: Server, other: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = find(layout, JOB)
    assert waiting is not None

    def cancelled() -> None:
        there = find(layout, JOB)
        assert there is not None and other.outcome.cancel(there, "cancelled by ada")

    lab.outcome.open(JOB)
    held = lab.moves.hold(waiting)
    assert held is not None
    done = stands_still(monkeypatch, cancelled, "goes on")
    lab.journal.note(JOB, 0, "held", hold="owner", held_by="ada", why="lunch")
    lab.outcome.keep_up(held)

    assert done and state(layout) == "cancelled" and marks(layout) == []


def test_who_accepts_a_drop_that_another_server_accepted_meanwhile_leaves_the_record_of_that_one(
    layout: Layout, other: Server, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(layout, f"{JOB}.qjob.json")
    sleepy, awake = intake_of(layout, server="lab"), intake_of(layout, server="other")

    def accepted_and_cancelled() -> None:
        other.takes_over_from("lab")
        awake.scan()
        (job_id,) = queued(layout)
        there = find(layout, job_id)
        assert there is not None and other.outcome.cancel(there, "cancelled by ada")

    done = stands_still(monkeypatch, accepted_and_cancelled, then)
    with contextlib.suppress(Killed):
        sleepy.scan()

    (status,) = layout.jobs.glob("*/*/status.json")
    assert done and state(layout, status.parent.name) == "cancelled"
    assert marks(layout) == [] and fs.names(layout.accepting_by("lab")) == []


def test_who_notes_a_drop_as_accepted_that_another_server_accepted_meanwhile_changes_nothing(
    layout: Layout, other: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(layout, f"{JOB}.qjob.json")
    sleepy, awake = intake_of(layout, server="lab"), intake_of(layout, server="other")
    real = fs.append_line
    to_come = [True]

    def late(log: Path, *line: Any, **how: Any) -> None:
        if to_come:
            to_come.clear()
            other.takes_over_from("lab")
            awake.scan()
            (job_id,) = queued(layout)
            there = find(layout, job_id)
            assert there is not None and other.outcome.cancel(there, "cancelled by ada")
        real(log, *line, **how)

    monkeypatch.setattr(fs, "append_line", late)
    sleepy.scan()

    (home,) = layout.jobs.glob("*/*")
    events = [each["event"] for each in read_events(layout, home.name)]
    assert events == ["accepted", "cancelled", "accepted"] and not to_come
    assert state(layout, home.name) == "cancelled" and queued(layout) == []
    other.journal.rewrite(home.name)
    assert state(layout, home.name) == State.CANCELLED
