"""Replacing a ticket: every step against every other one that may come in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from qtrl_spool.job import State, Ticket
from qtrl_spool.spool import tickets
from qtrl_spool.spool.edits import Edit, Edits, is_edited, left
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.tickets import Place, Tickets

JOB = "20261123-101530-rabi-k3f9x"


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


def test_a_new_ticket_that_was_written_and_not_used_is_removed(room: Room) -> None:
    edit = begun(room)
    edit.taken.rename(room.place.path)

    room.heirs.recover(room.note)

    assert room.found() == [(0, b"old")]
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
