"""The index of tickets says what a listing says, and lists a crowded directory rarely."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtrl_spool.job import Ticket
from qtrl_spool.spool import tickets
from qtrl_spool.spool.index import Index
from qtrl_spool.spool.layout import Layout, make

FOLDERS = ("queue/10-urgent", "queue/50-normal", "held", "running/lab", "running/other")


class Clock:
    """Monotonic time that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.listing_takes = 0.0

    def __call__(self) -> float:
        self.now += self.listing_takes
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return make(tmp_path / "spool", "format: qtrl-spool/1\n")


def name(order: int, priority: int = 50, claim: int = 0) -> str:
    return Ticket(priority, order, f"20261123-101530-rabi-{order:05d}", claim).name


def put(layout: Layout, folder: str, order: int) -> Path:
    path = layout.root / folder / name(order)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    return path


def orders(index: Index) -> list[int]:
    return [place.ticket.order for place in index.queued]


def test_it_lists_tickets_by_priority_then_by_order_of_acceptance(layout: Layout, clock: Clock) -> None:
    for folder, order in (("queue/50-normal", 2), ("queue/10-urgent", 3), ("queue/50-normal", 1)):
        put(layout, folder, order)
    index = Index(layout, clock, clock)

    assert index.look()

    assert orders(index) == [3, 1, 2]
    assert index.highest_order == 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from([*FOLDERS, "gone"]), st.booleans()), max_size=30)
)
def test_it_says_what_a_listing_says_whatever_moves_where(moves: list[tuple[int, str, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        layout = make(Path(folder) / "spool", "format: qtrl-spool/1\n")
        (layout.root / "gone").mkdir()
        index = Index(layout, Clock(), Clock())
        lies: dict[int, Path] = {}
        for order, target, looks in moves:
            path = layout.root / target / name(order)
            path.parent.mkdir(exist_ok=True)
            lies.get(order, put(layout, "gone", order)).rename(path)
            lies[order] = path
            if looks:
                index.look()
        index.look()

        assert list(index.queued) == tickets.queued(layout)
        assert list(index.held) == tickets.held(layout)
        assert sorted(index.running, key=repr) == sorted(tickets.running(layout), key=repr)


def test_a_move_within_one_step_of_the_storages_clock_is_found(layout: Layout, clock: Clock) -> None:
    put(layout, "queue/50-normal", 1)
    os.utime(layout.queue / "50-normal", ns=(0, 7))
    index = Index(layout, clock, clock)
    index.look()

    put(layout, "queue/50-normal", 2)
    os.utime(layout.queue / "50-normal", ns=(0, 7))
    clock.now += 1.0
    index.look()

    assert orders(index) == [1, 2]


def test_a_directory_whose_time_never_changes_is_listed_all_the_same(layout: Layout, clock: Clock) -> None:
    put(layout, "queue/50-normal", 1)
    os.utime(layout.queue / "50-normal", ns=(0, 7))
    index = Index(layout, clock, clock)
    for _ in range(2):
        clock.now += 5.0
        index.look()

    put(layout, "queue/50-normal", 2)
    os.utime(layout.queue / "50-normal", ns=(0, 7))
    clock.now += 11.0
    index.look()

    assert orders(index) == [1, 2]


def test_a_crowded_directory_rests_between_two_listings_and_another_one_does_not(
    layout: Layout, clock: Clock
) -> None:
    for empty in ("10-urgent", "30-high", "70-low", "90-idle"):
        (layout.queue / empty).rmdir()
    put(layout, "queue/50-normal", 1)
    index = Index(layout, clock, clock)
    clock.listing_takes = 0.5
    index.look()
    clock.listing_takes = 0.0

    put(layout, "queue/50-normal", 2)
    put(layout, "queue/5-now", 9)
    clock.now += 1.0
    index.look()
    assert orders(index) == [9, 1]

    clock.now += 60.0
    index.look()
    assert orders(index) == [9, 1, 2]


def test_what_the_server_moves_itself_is_known_at_once(layout: Layout, clock: Clock) -> None:
    put(layout, "queue/50-normal", 1)
    put(layout, "queue/50-normal", 2)
    index = Index(layout, clock, clock)
    index.look()
    moves = tickets.Tickets(layout, durable=False, moved=index.moved)

    moves.hold(index.queued[1])
    moves.reprioritize(index.queued[0], 10)

    assert [place.ticket.priority for place in index.queued] == [10]
    assert [place.ticket.order for place in index.held] == [2]


def test_a_ticket_that_somebody_else_moved_first_is_forgotten(layout: Layout, clock: Clock) -> None:
    path = put(layout, "queue/50-normal", 1)
    index = Index(layout, clock, clock)
    index.look()
    moves = tickets.Tickets(layout, durable=False, moved=index.moved)
    path.unlink()

    assert moves.claim(index.queued[0], "lab") is None

    assert orders(index) == []


def test_what_is_no_ticket_is_left_out(layout: Layout, clock: Clock) -> None:
    (layout.queue / "50-normal" / ".x.tmp").touch()
    (layout.queue / "not-a-priority").mkdir()
    put(layout, "queue/not-a-priority", 1)

    index = Index(layout, clock, clock)

    assert not index.look()
    assert orders(index) == []
