"""A server that stands still for longer than its lease, and what it writes when it wakes."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool import Spool, fs
from qtrl_spool.bundle import Limits
from qtrl_spool.errors import StorageError, UsageError
from qtrl_spool.job import State, Ticket
from qtrl_spool.server import settling
from qtrl_spool.server.aside import Aside
from qtrl_spool.server.asking import Asked
from qtrl_spool.server.editing import Editing
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.server.recovery import Rounds, take_over
from qtrl_spool.server.verbs import JobVerbs
from qtrl_spool.spool.edits import Edit, Edits
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
    """Return what becomes of the sleeper once it has put a record in its place, or tried to."""
    return str(request.param)


@pytest.fixture(params=["before it writes", "before it looks at its mark", "before the rename"])
def when(request: pytest.FixtureRequest) -> str:
    """Return at which step of writing a record the sleeper stands still."""
    return str(request.param)


_STEPS = {
    "before it writes": ("open", ".status.json."),
    "before it looks at its mark": ("utime", ".open"),
    "before the rename": ("replace", "/status.json"),
}


def stands_still(
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: Callable[[], object],
    then: str = "goes on",
    when: str = "before the rename",
) -> list[str]:
    """Let others do something at that step of the next record; return what was done."""
    done = list[str]()
    call, named = _STEPS[when]
    real, replace = getattr(os, call), os.replace

    def late(*what: Any, **how: Any) -> Any:
        is_early = call == "utime" and not any(Path(what[0]).parents[2].glob("jobs/*/*/.status.json.*"))
        if named not in " ".join(map(str, what)) or is_early:
            return real(*what, **how)
        monkeypatch.setattr(os, call, real)
        meanwhile()
        done.append("meanwhile")
        if then == "is killed":
            monkeypatch.setattr(os, "replace", last)
        return getattr(os, call)(*what, **how)

    def last(source: Any, target: Any) -> None:
        try:
            replace(source, target)
        finally:
            monkeypatch.setattr(os, "replace", replace)
            raise Killed

    monkeypatch.setattr(os, call, late)
    return done


def state(layout: Layout, job_id: str = JOB) -> str:
    return str((read_status(layout, job_id) or {})["state"])


def marks(layout: Layout) -> list[str]:
    return [path.name for path in layout.running.glob("*/*.open")]


def test_who_gave_a_job_back_leaves_the_record_of_those_who_ran_it_since(
    layout: Layout, lab: Server, other: Server, then: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = lab.claims()

    def taken_over_and_done() -> None:
        other.takes_over_from("lab")
        assert marks(layout) == [] and other.outcome.commit(other.claims())

    done = stands_still(monkeypatch, taken_over_and_done, then, when)
    with contextlib.suppress(Killed):
        assert lab.outcome.requeue(mine, "the server was to end")

    assert done and state(layout) == "done"
    other.takes_over_from("lab")
    assert marks(layout) == [] and list(layout.home(JOB).glob(".*.tmp")) == []


def test_who_gave_a_job_back_and_was_never_missed_writes_the_record_of_those_who_ran_it_since(
    layout: Layout, lab: Server, other: Server, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = lab.claims()
    done = stands_still(monkeypatch, lambda: other.outcome.commit(other.claims()), when=when)

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
    layout: Layout, lab: Server, other: Server, then: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.claims()

    def taken_over_and_done() -> None:
        other.takes_over_from("lab")
        assert other.outcome.commit(other.claims())

    done = stands_still(monkeypatch, taken_over_and_done, then, when)
    with contextlib.suppress(Killed):
        lab.journal.progress(JOB, 1, 2)

    assert done and state(layout) == "done"


def test_who_takes_over_and_is_killed_at_any_change_of_the_disk_leaves_a_mark_for_the_next(
    layout: Layout, lab: Server, other: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = find(layout, JOB)
    assert waiting is not None
    lab.outcome.open(JOB)
    held = lab.moves.hold(waiting)
    assert held is not None

    n_changes = _killed_at_each_change(monkeypatch, lambda: other.takes_over_from("lab"))
    third = Server(layout, "third")
    for dead in ("lab", "other"):
        third.takes_over_from(dead)

    assert n_changes > 4 and state(layout) == "held" and marks(layout) == []


def _killed_at_each_change(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> int:
    """Do something again and again, killed right before its first, second, … change of the disk."""
    n = 0
    while True:
        n += 1
        with monkeypatch.context() as patch:
            left = [n]
            for call in ("unlink", "rename", "replace", "utime", "open"):
                patch.setattr(os, call, _counting(getattr(os, call), left))
            try:
                act()
            except Killed:
                continue
            return n


def _counting(real: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    def counted(path: Any, *more: Any, **how: Any) -> Any:
        if real is not os_open or (more and more[0] & os.O_CREAT):
            left[0] -= 1
            if left[0] == 0:
                raise Killed
        return real(path, *more, **how)

    return counted


os_open = os.open


def test_who_takes_over_has_its_own_mark_before_it_takes_the_other_one_away(
    layout: Layout, lab: Server, other: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.outcome.open(JOB)
    unlink, seen = os.unlink, list[list[str]]()

    def removing(path: Any, *more: Any, **how: Any) -> None:
        if Path(path) == lab.marks.path(JOB):
            seen.append(other.marks.opened())
        unlink(path, *more, **how)

    monkeypatch.setattr(os, "unlink", removing)
    other.takes_over_from("lab")

    assert seen == [[JOB]] and marks(layout) == []


def test_a_verb_does_not_take_away_the_mark_of_what_is_not_taken_over_to_the_end(
    layout: Layout, lab: Server, other: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = lab.claims()

    def half_taken_over() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "fence", refused)
            with contextlib.suppress(StorageError):
                other.takes_over_from("lab")
        other.outcome.close_if_idle(JOB)

    done = stands_still(monkeypatch, half_taken_over, "is killed")
    with contextlib.suppress(Killed):
        lab.outcome.requeue(mine, "the server was to end")
    marked = other.marks.opened()
    Server(layout, "third").takes_over_from("other")

    assert done and marked == [JOB] and state(layout) == "queued" and marks(layout) == []


def refused(*what: object) -> None:
    raise StorageError("the storage reports an input/output error")


def test_a_taker_leaves_the_mark_of_a_job_that_its_server_has_claimed(
    layout: Layout, lab: Server, other: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.outcome.open(JOB)
    wakes, claimed = [True], list[Place]()
    real = settling.find

    def late(layout: Layout, job_id: str) -> Place | None:
        if wakes:
            wakes.clear()
            claimed.append(lab.claims())
        return real(layout, job_id)

    monkeypatch.setattr(settling, "find", late)
    other.takes_over_from("lab")

    assert claimed and lab.marks.opened() == [JOB]


def test_every_end_of_a_claim_is_marked_whoever_took_its_mark_away(
    layout: Layout, lab: Server, other: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = lab.claims()
    lab.marks.close(JOB)
    monkeypatch.setattr(Journal, "append", killed)

    with pytest.raises(Killed):
        lab.outcome.commit(mine)
    monkeypatch.undo()
    other.takes_over_from("lab")

    assert state(layout) == "done" and marks(layout) == []


def killed(*what: object, **how: object) -> None:
    raise Killed


def test_who_gives_back_what_it_runs_itself_by_now_keeps_its_own_mark(
    layout: Layout, lab: Server, other: Server
) -> None:
    stale = lab.claims()
    Server(layout, "third").takes_over_from("lab")
    other.claims()

    other.outcome.give_back(stale, "it was not heard of")

    assert other.marks.opened() == [JOB] and state(layout) == "running"


def test_a_record_over_which_an_editor_went_on_is_looked_at_again(
    layout: Layout, lab: Server, other: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, edits = lab.claims(), Edits(layout, "other", other.moves)
    layout.accepting_by("other").mkdir()
    begun = list[Edit]()

    def edited() -> None:
        there = find(layout, JOB)
        assert there is not None
        other.outcome.open(JOB)
        other.journal.note(JOB, 1, "editing", request="r", name="echo")
        edit = edits.begin(there, b"another ticket")
        assert edit is not None and edits.decide(edit)
        other.outcome.note_edit(edit)
        begun.append(edit)

    stands_still(monkeypatch, edited)
    with pytest.raises(StorageError, match="is nowhere to be seen"):
        lab.outcome.requeue(mine, "the server was to end")
    other.outcome.keep_up(edits.end(begun[0]))
    lab.outcome.lose(mine)

    assert (read_status(layout, JOB) or {})["name"] == "echo" and lab.marks.opened() == []


def test_an_event_that_came_too_late_is_corrected_with_the_next_move(
    layout: Layout, lab: Server, other: Server
) -> None:
    waiting = find(layout, JOB)
    assert waiting is not None
    other.outcome.open(JOB)
    held = other.moves.hold(waiting)
    assert held is not None
    other.journal.note(JOB, 0, "held", hold="owner", held_by="ada", why="lunch")
    lab.journal.append(JOB, 0, [lab.journal.entry("requeued", why="the server was to end")])
    other.journal.forget(JOB)

    other.journal.note(JOB, 0, "moved", priority=10)
    was = state(layout)
    other.outcome.keep_up(held)

    assert (was, state(layout)) == ("queued", "held")


def test_who_releases_a_job_that_was_settled_meanwhile_says_that_it_is_released(
    layout: Layout, lab: Server, other: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = find(layout, JOB)
    assert waiting is not None
    lab.outcome.open(JOB)
    held = lab.moves.hold(waiting)
    assert held is not None
    lab.journal.note(JOB, 0, "held", hold="owner", held_by="ada", why="lunch")
    lab.journal.note(JOB, 0, "released", hold="owner", released_by="ada")

    other.takes_over_from("lab")
    was = state(layout)
    released = lab.moves.enqueue(held)
    assert released is not None
    lab.outcome.keep_up(released)

    assert (was, state(layout)) == ("held", "queued")


def test_who_lets_go_of_a_job_settles_what_trouble_left_of_it(layout: Layout, lab: Server) -> None:
    waiting = find(layout, JOB)
    assert waiting is not None
    lab.outcome.open(JOB)
    lab.journal.note(JOB, 1, "claimed", server="lab")
    was = state(layout)

    lab.outcome.let_go(waiting)

    assert (was, state(layout)) == ("running", "queued") and marks(layout) == []


@pytest.mark.parametrize(("verb", "participle"), [("move", "moved"), ("edit", "edited")])
def test_a_request_that_was_carried_out_before_trouble_is_answered_so_whatever_the_job_does_now(
    layout: Layout, lab: Server, verb: str, participle: str
) -> None:
    verbs = JobVerbs(
        layout, lab.journal, lab.moves, lab.outcome, "lab",
        Editing(layout, Limits(), lab.journal, lab.moves, lab.outcome, "lab", never),
        stop_running=never, park_running=never,
    )  # fmt: skip
    lab.journal.note(JOB, 0, participle, request="t1")
    lab.claims()
    asked = Asked({verb: JOB, "priority": 10}, verb, "t1", 0, "root", True, again=True)

    assert verbs.carry_out(asked) == f"{JOB} is {participle}"
    with pytest.raises(UsageError, match="is running"):
        verbs.carry_out(dataclasses.replace(asked, again=False))


def never(*what: object) -> Any:
    raise AssertionError(what)


def test_what_is_refused_of_a_record_rests_beside_its_job(layout: Layout, lab: Server) -> None:
    aside = Aside()
    rounds = Rounds(lab.outcome, lambda job_id: False, aside.tried)
    lab.outcome.open(JOB)
    trouble = StorageError("cannot read it")
    trouble.__cause__ = OSError(errno.EIO, "input/output error")
    aside.put(JOB, trouble)

    rounds()

    assert aside.rests(JOB) is trouble and marks(layout) == []


def test_what_trouble_left_of_a_verb_is_settled_by_a_living_server(
    layout: Layout, lab: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, now = find(layout, JOB), [0.0]
    assert waiting is not None
    aside = Aside(lambda: now[0])
    rounds = Rounds(lab.outcome, lambda job_id: False, aside.tried, lambda: now[0])
    rounds()
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "absorb", refused)
        with pytest.raises(StorageError):
            lab.outcome.cancel(waiting, "cancelled by ada")
    was = state(layout)

    rounds()
    too_early = state(layout)
    rounds.hurry()
    rounds()

    assert (was, too_early, state(layout)) == ("queued", "queued", "cancelled")
    assert marks(layout) == []


def test_a_mark_of_a_job_whose_ticket_somebody_removed_goes_after_a_minute(
    layout: Layout, lab: Server
) -> None:
    now = [0.0]
    heir = Server(layout, "heir")
    heir.outcome = Outcome(layout, heir.journal, heir.moves, "heir", 5, lambda: now[0])
    lab.outcome.open(JOB)
    ticket = find(layout, JOB)
    assert ticket is not None
    ticket.path.unlink()

    for now[0] in (0.0, 60.0):
        heir.takes_over_from("lab")
        assert lab.marks.opened() == [JOB]
    now[0] = 61.0
    heir.takes_over_from("lab")

    assert marks(layout) == []


def test_two_moments_in_which_a_ticket_is_not_seen_are_no_minute(layout: Layout, lab: Server) -> None:
    now, hidden = [0.0], layout.root / "hidden"
    lab.outcome = Outcome(layout, lab.journal, lab.moves, "lab", 5, lambda: now[0])

    for now[0] in (0.0, 3600.0):
        mine = lab.claims()
        mine.path.rename(hidden)
        with pytest.raises(StorageError, match="is nowhere to be seen"):
            lab.outcome.lose(mine)
        hidden.rename(mine.path)
        assert lab.outcome.requeue(mine, "the server was to end")


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
    done = stands_still(monkeypatch, cancelled)
    lab.journal.note(JOB, 0, "held", hold="owner", held_by="ada", why="lunch")
    lab.outcome.keep_up(held)

    assert done and state(layout) == "cancelled" and marks(layout) == []


@pytest.mark.parametrize("when", ["before it writes", "before the rename"])
def test_who_accepts_a_drop_that_another_server_accepted_meanwhile_leaves_the_record_of_that_one(
    layout: Layout, other: Server, then: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(layout, f"{JOB}.qjob.json")
    settled = list[str]()
    sleepy = intake_of(layout, server="lab", settle=settled.append)
    awake = intake_of(layout, server="other")

    def accepted_and_cancelled() -> None:
        other.takes_over_from("lab")
        awake.scan()
        (job_id,) = queued(layout)
        there = find(layout, job_id)
        assert there is not None and other.outcome.cancel(there, "cancelled by ada")

    done = stands_still(monkeypatch, accepted_and_cancelled, then, when)
    with contextlib.suppress(Killed):
        sleepy.scan()

    (status,) = layout.jobs.glob("*/*/status.json")
    assert done and state(layout, status.parent.name) == "cancelled"
    assert marks(layout) == [] and fs.names(layout.accepting_by("lab")) == []
    assert settled == [status.parent.name] or then == "is killed"


def test_a_record_that_must_not_come_to_its_place_any_more_keeps_no_other_drop(
    layout: Layout, other: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1.json", "2.json"):
        drop(layout, name)
    sleepy = intake_of(layout, server="lab")

    def one_is_taken() -> None:
        layout.accepting_by("other").mkdir()
        first = fs.names(layout.accepting_by("lab"))[-1]
        fs.move(layout.accepting_by("lab") / first, layout.accepting_by("other") / first, durable=False)
        other.journal.fence(first.split("~")[1])

    done = stands_still(monkeypatch, one_is_taken)
    sleepy.scan()

    assert done and len(queued(layout)) == 1 and len(fs.names(layout.accepting_by("other"))) == 1


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
