"""Replacing a ticket: every step against every other one that may come in between."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool import fs
from qtrl_spool.errors import StorageError
from qtrl_spool.job import State, Ticket
from qtrl_spool.spool import tickets
from qtrl_spool.spool.edits import Edit, Edits, is_edited, left, where_seen
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.tickets import Place, Tickets

JOB = "20261123-101530-rabi-k3f9x"
OTHER = "20261123-101531-rabi-k3f9z"


class Room:
    """A spool with one waiting ticket, an editor, and a server that takes over for it."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.moves = Tickets(self.layout, durable=False)
        self.mine = Edits(self.layout, "lab", self.moves)
        self.heirs = Edits(self.layout, "lab", Tickets(self.layout, durable=False))
        mine = (self.layout.accepting_by("lab"), self.layout.claimed_by("lab"))
        for folder in (*mine, self.layout.held, self.moves.queue_folder(50)):
            folder.mkdir(parents=True, exist_ok=True)
        self.place = Place(
            Ticket(50, 12, JOB), self.moves.queue_folder(50) / Ticket(50, 12, JOB).name, State.QUEUED
        )
        self.place.path.write_bytes(b"old")
        self.noted: list[str] = []

    def note(self, edit: Edit) -> None:
        self.noted.append(edit.ticket.name)

    def found(self) -> list[tuple[int, bytes]]:
        """Return claim and content of every ticket that waits, is held or runs."""
        places = [
            *tickets.queued(self.layout), *tickets.held(self.layout), *tickets.running(self.layout)
        ]  # fmt: skip
        return [(each.ticket.claim, each.path.read_bytes()) for each in places]


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_an_edited_ticket_lies_where_it_lay_under_the_next_claim_number(room: Room) -> None:
    edit = room.mine.begin(room.place, b"new")
    assert edit is not None and room.mine.decide(edit)
    room.mine.end(edit)

    assert room.found() == [(1, b"new")]
    assert list(left(room.layout.accepting_by("lab"))) == []


def test_a_claim_that_comes_first_wins(room: Room) -> None:
    room.moves.claim(room.place, "lab")

    assert room.mine.begin(room.place, b"new") is None
    assert room.found() == [(1, b"old")]
    assert list(left(room.layout.accepting_by("lab"))) == []


def test_a_claim_that_comes_later_finds_nothing(room: Room) -> None:
    room.mine.begin(room.place, b"new")

    assert room.moves.claim(room.place, "lab") is None
    assert is_edited(room.layout, JOB)


def begun(room: Room) -> Edit:
    edit = room.mine.begin(room.place, b"new")
    assert edit is not None
    return edit


def decided(room: Room) -> Edit:
    edit = begun(room)
    assert room.mine.decide(edit)
    return edit


def put_in(room: Room) -> Edit:
    edit = decided(room)
    room.mine._back(edit.new, edit)
    return edit


@pytest.mark.parametrize(
    ("upto", "expected", "noted"),
    [(begun, (1, b"old"), 0), (decided, (1, b"new"), 1), (put_in, (1, b"new"), 1)],
)
def test_what_a_death_left_is_undone_or_brought_to_its_end(
    room: Room, upto: Callable[[Room], Edit], expected: tuple[int, bytes], noted: int
) -> None:
    upto(room)

    room.heirs.recover(room.note)

    assert room.found() == [expected]
    assert len(room.noted) == noted
    assert list(left(room.layout.accepting_by("lab"))) == []


def test_a_new_ticket_that_was_written_and_not_used_is_removed_when_nobody_can_use_it_any_more(
    room: Room,
) -> None:
    edit = begun(room)
    edit.taken.rename(room.place.path)

    room.heirs.recover(room.note)

    assert room.found() == [(1, b"old")]
    assert not edit.new.exists()


def test_an_editor_that_was_frozen_before_it_decided_changes_nothing_afterwards(room: Room) -> None:
    edit = begun(room)
    room.heirs.recover(room.note)
    (place,) = tickets.queued(room.layout)
    room.moves.claim(place, "lab")

    assert not room.mine.decide(edit)
    assert room.found() == [(2, b"old")]


def test_an_editor_that_was_frozen_after_it_decided_makes_no_second_ticket(room: Room) -> None:
    edit = decided(room)
    room.heirs.recover(room.note)
    (place,) = tickets.queued(room.layout)
    room.moves.claim(place, "lab")

    room.mine.end(edit)

    assert room.found() == [(2, b"new")]


def test_a_held_ticket_stays_held(room: Room) -> None:
    held = room.moves.hold(room.place)
    assert held is not None
    edit = room.mine.begin(held, b"new")
    assert edit is not None and room.mine.decide(edit)
    room.mine.end(edit)

    assert [place.state for place in tickets.held(room.layout)] == [State.HELD]
    assert room.found() == [(1, b"new")]


def test_a_new_ticket_of_a_job_that_was_cancelled_before_it_was_used_is_removed(room: Room) -> None:
    edit = begun(room)
    edit.taken.rename(room.place.path)
    home = room.layout.home(JOB)
    home.mkdir(parents=True)
    room.moves.finish(room.place, State.CANCELLED)

    room.heirs.recover(room.note)

    assert fs.names(home) == ["cancelled.c0.qjob"]
    assert list(left(room.layout.accepting_by("lab"))) == []


# ---------------------------------------------------------------- frozen, lost replies, stale looks


def frozen_at(
    monkeypatch: pytest.MonkeyPatch, call: str, marked: str, meanwhile: Callable[[], object]
) -> list[Callable[[], object]]:
    """Stand still once, right before the call on a path that holds `marked`; empty once that has been."""
    real, waiting = getattr(os, call), [meanwhile]

    def freezing(*paths: Any, **more: Any) -> Any:
        if waiting and marked in " ".join(map(str, paths)):
            waiting.pop()()
        return real(*paths, **more)

    monkeypatch.setattr(os, call, freezing)
    return waiting


def edited_by_a_server_that_sleeps_at(
    room: Room, monkeypatch: pytest.MonkeyPatch, call: str, marked: str
) -> Edit | None:
    still_to_come = frozen_at(monkeypatch, call, marked, lambda: room.heirs.recover(room.note))
    edit = room.mine.begin(room.place, b"new")
    if edit is not None and room.mine.decide(edit):
        room.mine.end(edit)
    assert not still_to_come
    return edit


SLEEPS = [
    ("open", ".edit~"),
    ("rename", "queue/50/50-000000012-"),
    ("rename", "/edited~"),
    ("rename", "/.edit~"),
    ("unlink", "/edited~"),
]


@pytest.mark.parametrize(("call", "marked"), SLEEPS)
def test_wherever_an_editor_freezes_while_another_takes_over_there_is_one_ticket_afterwards(
    room: Room, monkeypatch: pytest.MonkeyPatch, call: str, marked: str
) -> None:
    edited_by_a_server_that_sleeps_at(room, monkeypatch, call, marked)
    room.heirs.recover(room.note)

    assert len(room.found()) == 1
    assert list(left(room.layout.accepting_by("lab"))) == []


def test_an_editor_that_was_frozen_before_it_took_the_ticket_out_gets_it_no_more(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = edited_by_a_server_that_sleeps_at(room, monkeypatch, "rename", "queue/50/50-000000012-")

    assert edit is None
    assert room.found() == [(1, b"old")]


def test_a_ticket_that_was_moved_meanwhile_stays_where_it_was_moved_to(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def move_and_recover() -> None:
        room.moves.reprioritize(room.place, 10)
        room.heirs.recover(room.note)

    still_to_come = frozen_at(monkeypatch, "rename", "/edit~", move_and_recover)
    room.mine.begin(room.place, b"new")

    assert not still_to_come
    assert [place.ticket.priority for place in tickets.queued(room.layout)] == [10]
    assert list(left(room.layout.accepting_by("lab"))) == []


def unseen_once(monkeypatch: pytest.MonkeyPatch, marked: str) -> None:
    """Carry out a rename to `marked` and report that its source is not there; do not show the target once."""
    rename, lstat, hidden = os.rename, os.lstat, []

    def renaming(source: Any, target: Any, **more: Any) -> None:
        rename(source, target, **more)
        if marked in str(target) and not hidden:
            hidden.append(str(target))
            raise FileNotFoundError(errno.ENOENT, "lost", str(source))

    def looking(path: Any, **more: Any) -> os.stat_result:
        if str(path) in hidden:
            hidden[:] = ["seen"]
            raise FileNotFoundError(errno.ENOENT, "stale", str(path))
        return lstat(path, **more)

    monkeypatch.setattr(os, "rename", renaming)
    monkeypatch.setattr(os, "lstat", looking)


@pytest.mark.parametrize("marked", ["/edit~", "/edited~", "queue/50/"])
def test_a_lost_reply_and_a_stale_look_lose_no_ticket_that_is_edited(
    room: Room, monkeypatch: pytest.MonkeyPatch, marked: str
) -> None:
    unseen_once(monkeypatch, marked)
    edit = room.mine.begin(room.place, b"new")
    if edit is not None and room.mine.decide(edit):
        room.mine.end(edit)
    for _ in range(2):
        room.mine.recover(room.note)

    assert len(room.found()) == 1
    assert list(left(room.layout.accepting_by("lab"))) == []


def test_an_edit_that_counts_is_said_to_though_its_reply_was_lost(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = begun(room)
    unseen_once(monkeypatch, "/edited~")

    assert room.mine.decide(edit)


def test_the_old_ticket_comes_back_if_the_new_one_has_gone(room: Room) -> None:
    edit = decided(room)
    edit.new.unlink()

    room.heirs.recover(room.note)

    assert room.found() == [(1, b"old")]
    assert list(left(room.layout.accepting_by("lab"))) == []


def test_an_edit_that_was_ended_while_the_next_one_takes_the_ticket_out_makes_no_second_one(
    room: Room,
) -> None:
    edit = put_in(room)
    other = Edits(room.layout, "other", room.moves)
    room.layout.accepting_by("other").mkdir()
    (place,) = tickets.queued(room.layout)
    later = other.begin(place, b"newer")
    assert later is not None

    room.mine.end(edit)
    assert other.decide(later)
    other.end(later)

    assert room.found() == [(2, b"newer")]


def test_what_is_removed_after_an_edit_was_seen_elsewhere_and_synced_there(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = put_in(room)
    lasting = Edits(room.layout, "lab", Tickets(room.layout, durable=True))
    monkeypatch.setattr(os, "fsync", refused)

    with pytest.raises(StorageError):
        lasting.end(edit)

    assert edit.decided.exists()


def refused(*_: object) -> None:
    raise OSError(errno.EIO, "no")


@pytest.mark.parametrize("upto", [begun, decided])
def test_a_ticket_in_a_servers_hands_is_seen(room: Room, upto: Callable[[Room], Edit]) -> None:
    edit = upto(room)

    assert where_seen(room.layout, JOB, durable=False) in (edit.taken, edit.decided)


def test_a_new_ticket_alone_is_not_taken_for_the_job(room: Room) -> None:
    edit = begun(room)
    edit.taken.unlink()

    assert where_seen(room.layout, JOB, durable=False) is None
    with pytest.raises(StorageError, match="is nowhere to be seen: its edit cannot be settled"):
        room.heirs.recover(room.note)
    assert edit.new.exists()
    room.layout.home(JOB).parent.mkdir(parents=True)  # and no home in it: the job was removed
    room.heirs.recover(room.note)
    assert not edit.new.exists()


# ---------------------------------------------------------------- trouble


def test_an_edit_that_the_storage_refuses_to_settle_keeps_no_other(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Place(Ticket(50, 13, OTHER), room.place.path.with_name(Ticket(50, 13, OTHER).name), State.QUEUED)
    other.path.write_bytes(b"other")
    edit = begun(room)
    assert room.mine.begin(other, b"new") is not None
    rename = os.rename
    monkeypatch.setattr(
        os, "rename", lambda a, b, **more: refused() if JOB in str(a) else rename(a, b, **more)
    )

    with pytest.raises(StorageError):
        room.heirs.recover(room.note)

    assert [place.ticket.job_id for place in tickets.queued(room.layout)] == [OTHER]
    assert edit.taken.exists()
