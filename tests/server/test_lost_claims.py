"""What a server does that cannot move the ticket of its job: it never takes a lost reply for a lost claim."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from qtrl_spool import Spool
from qtrl_spool.errors import StorageError
from qtrl_spool.job import State, Ticket
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.spool.journal import PARTIAL, RESULT, Journal, claimed_result
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.marks import Marks
from qtrl_spool.spool.tickets import Place, Tickets, find

JOB = "20261123-101530-rabi-k3f9x"
MINE = Ticket(50, 1, JOB, 1)


@pytest.fixture
def layout(spool: Spool) -> Layout:
    return Layout(spool.path)


@pytest.fixture
def outcome(layout: Layout) -> Outcome:
    marks = Marks(layout, "lab", durable=False)
    journal, moves = Journal(layout, "lab", durable=False, answers=marks.open), Tickets(layout, durable=False)
    journal.open_home(JOB)
    journal.note(JOB, 0, "accepted", priority=50, name="rabi")
    return Outcome(layout, journal, moves, "lab", max_attempts=5)


@pytest.fixture
def place(layout: Layout, outcome: Outcome) -> Place:
    """Return the ticket of a job that is claimed, and whose result is written."""
    folder = layout.claimed_by("lab")
    outcome.open(JOB)
    (folder / MINE.name).write_bytes(b"ticket")
    (layout.home(JOB) / claimed_result(1)).write_bytes(b"result")
    return Place(MINE, folder / MINE.name, State.RUNNING, "lab")


def opened(layout: Layout) -> list[str]:
    return Marks(layout, "lab").opened()


def in_home(layout: Layout, suffix: str) -> list[str]:
    return sorted(path.name for path in layout.home(JOB).glob(f"*{suffix}"))


def take_over(layout: Layout, place: Place, claim: int) -> None:
    """Move the ticket away as another server does that took the job over."""
    folder = layout.claimed_by("other")
    folder.mkdir()
    place.path.rename(folder / Ticket(50, 1, JOB, claim).name)


def test_a_commit_whose_reply_is_lost_and_whose_target_is_not_seen_once_publishes_the_result(
    layout: Layout, outcome: Outcome, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, lstat, unseen = os.rename, os.lstat, ["done.c1.qjob"]

    def losing(source: Path, target: Path, **how: int | None) -> None:
        rename(source, target, **how)  # type: ignore[arg-type]
        raise FileNotFoundError(errno.ENOENT, "no such file or directory", str(source))

    def stale(path: Path) -> os.stat_result:
        if Path(path).name in unseen:
            unseen.remove(Path(path).name)
            raise FileNotFoundError(errno.ENOENT, "no such file or directory", str(path))
        return lstat(path)

    monkeypatch.setattr(os, "rename", losing)
    monkeypatch.setattr(os, "lstat", stale)

    assert outcome.commit(place)
    assert unseen == []
    assert (layout.home(JOB) / RESULT).read_bytes() == b"result"


def test_a_share_that_goes_away_in_the_midst_of_a_commit_loses_no_result(
    layout: Layout, outcome: Outcome, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, away = os.rename, layout.root.with_name("away")

    def unmounting(source: Path, target: Path, **how: int | None) -> None:
        rename(layout.root, away)
        layout.root.mkdir()
        rename(source, target, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rename", unmounting)
    with pytest.raises(StorageError):
        outcome.commit(place)
    monkeypatch.undo()
    layout.root.rmdir()
    away.rename(layout.root)

    assert outcome.commit(place)
    assert (layout.home(JOB) / RESULT).read_bytes() == b"result"


def test_a_result_is_kept_while_the_ticket_is_nowhere_to_be_seen(
    layout: Layout, outcome: Outcome, place: Place
) -> None:
    place.path.rename(layout.root / "hidden")

    with pytest.raises(StorageError, match=f"ticket of {JOB} is nowhere to be seen"):
        outcome.commit(place)
    assert in_home(layout, ".h5") == ["result.c1.h5"]
    assert opened(layout) == [JOB]


def test_a_result_is_kept_while_the_queue_still_shows_the_ticket_as_it_was_before_the_claim(
    layout: Layout, outcome: Outcome, place: Place
) -> None:
    place.path.rename(layout.queue / "50-normal" / Ticket(50, 1, JOB, 0).name)

    with pytest.raises(StorageError, match="nowhere to be seen"):
        outcome.commit(place)
    assert in_home(layout, ".h5") == ["result.c1.h5"]


def test_the_result_of_a_job_that_another_server_runs_is_removed(
    layout: Layout, outcome: Outcome, place: Place
) -> None:
    take_over(layout, place, 2)

    assert not outcome.commit(place)
    assert in_home(layout, ".h5") == []


def test_the_result_of_a_job_that_another_server_gave_back_is_removed(
    layout: Layout, outcome: Outcome, place: Place
) -> None:
    place.path.rename(layout.queue / "50-normal" / MINE.name)

    assert not outcome.commit(place)
    assert in_home(layout, ".h5") == []


def test_a_partial_result_stays_with_a_job_that_is_done_and_whose_result_is_not_there(
    layout: Layout, outcome: Outcome, place: Place
) -> None:
    home = layout.home(JOB)
    (home / claimed_result(1)).rename(home / PARTIAL)

    outcome.commit(place)

    found = find(layout, JOB)
    assert found is not None and found.state is State.DONE
    assert in_home(layout, ".h5") == [PARTIAL]


def test_who_steers_a_job_that_is_claimed_at_that_moment_leaves_its_mark(
    layout: Layout, outcome: Outcome, place: Place
) -> None:
    waited = Ticket(50, 1, JOB)
    waiting = Place(waited, layout.queue / "50-normal" / waited.name, State.QUEUED)
    outcome.in_hands = lambda job_id: job_id == JOB

    assert not outcome.cancel(waiting, "cancelled by ada")
    outcome.close_if_idle(JOB)

    assert opened(layout) == [JOB] and place.path.exists()


def test_a_job_whose_ticket_somebody_removed_is_let_go_of_after_a_minute_and_keeps_what_it_measured(
    layout: Layout, place: Place
) -> None:
    now = [0.0]
    journal, moves = Journal(layout, "lab", durable=False), Tickets(layout, durable=False)
    outcome = Outcome(layout, journal, moves, "lab", max_attempts=5, clock=lambda: now[0])
    place.path.unlink()

    for now[0] in (0.0, 30.0, 60.0):
        with pytest.raises(StorageError, match="is nowhere to be seen"):
            outcome.commit(place)
    now[0] = 60.5

    assert not outcome.commit(place)
    assert in_home(layout, ".h5") == [claimed_result(1)]
