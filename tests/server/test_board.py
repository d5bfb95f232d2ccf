"""The server's queue.json in this process: rarely written, never behind what it knows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool.forecast.kinds import Kind
from qtrl_spool.forecast.learning import Ran
from qtrl_spool.job import Ticket, record_of
from qtrl_spool.server.board import Board
from qtrl_spool.server.experience import Experience
from qtrl_spool.server.foresight import NEAR, Foresight
from qtrl_spool.server.roll import Choice, Roll
from qtrl_spool.spool import tickets
from qtrl_spool.spool.eligible import Facts, Pause, keeping
from qtrl_spool.spool.index import Index
from qtrl_spool.spool.journal import Journal
from qtrl_spool.spool.layout import Layout, make
from qtrl_spool.spool.pauses import pause
from qtrl_spool.spool.standing import Line, serving


class Clock:
    """Monotonic time that advances by `step` with every look."""

    def __init__(self) -> None:
        self.now, self.step = 1000.0, 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


class House:
    """A spool with a board that no server runs."""

    def __init__(self, root: Path) -> None:
        self.layout: Layout = make(root, "format: qtrl-spool/1\n")
        self.clock = Clock()
        self.journal = Journal(self.layout, "lab", durable=False)
        self.index = Index(self.layout, self.clock, self.clock)
        self.roll = Roll(self.layout, self.journal, self.index, self.clock)
        self.experience = Experience(self.layout, "lab", self.clock)
        foresight = Foresight("lab", self.experience, self.roll, clock=self.clock, busy=self.clock)
        self.board = Board(
            self.layout,
            self.journal,
            self.index,
            self.roll,
            "lab",
            self.experience,
            foresight,
            self.clock,
            self.clock,
        )
        self.moves = tickets.Tickets(self.layout, durable=False, moved=self.index.moved)

    def add(self, order: int, user: str = "ada", **more: Any) -> str:
        job_id = f"20261123-101530-rabi-{order:05d}"
        event = {"at": "2026-11-23T10:15:30.000000Z", "event": "accepted", "name": "rabi", "user": user}
        home = self.layout.home(job_id)
        home.mkdir(parents=True)
        event |= {"n_batches": 4, **more}
        (home / "events.c0.jsonl").write_text(json.dumps(event) + "\n")
        (home / "status.json").write_text(json.dumps(record_of(job_id, [event])))
        (self.layout.queue / "50-normal" / Ticket(50, order, job_id).name).touch()
        return job_id

    def later(self, seconds: float = 1.0) -> dict[str, Any]:
        self.clock.now += seconds
        self.index.look()
        self.board.write([])
        found: dict[str, Any] = json.loads(self.layout.snapshot.read_text())
        return found


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "spool")


def times_written(house: House, action: Callable[[], object]) -> int:
    before = os.stat(house.layout.snapshot).st_ino
    action()
    return int(os.stat(house.layout.snapshot).st_ino != before)


def test_it_tells_of_every_waiting_job_where_it_stands(house: House) -> None:
    ids = [house.add(1), house.add(2, "bob")]

    told = house.later()["queued"]

    assert [(each["id"], each["place"], each["user"]) for each in told] == [
        (ids[0], 1, "ada"),
        (ids[1], 2, "bob"),
    ]
    assert told[1]["reason"] == "waiting for 1 job (of ada)"


def test_nothing_is_written_while_nothing_changes(house: House) -> None:
    house.add(1)
    house.later()

    assert times_written(house, house.later) == 0


def test_a_change_right_after_it_was_written_waits_for_its_time(house: House) -> None:
    house.add(1)
    house.clock.step = 0.0005
    house.later()
    house.clock.step = 0.0
    house.add(2)

    assert times_written(house, lambda: house.later(0.05)) == 0
    assert house.board.recheck_after_s is not None and 0 < house.board.recheck_after_s < 1.0
    assert len(house.later(house.board.recheck_after_s)["queued"]) == 2


def test_a_queue_that_was_there_before_is_read_a_few_at_a_time(house: House) -> None:
    for order in range(1, 6):
        house.add(order)
    house.clock.step = 0.09

    first = [each["user"] for each in house.later()["queued"]]
    assert 0 < first.count("ada") < 5 and first.count(None) == 5 - first.count("ada")
    assert house.board.recheck_after_s == 0.0

    for _ in range(5):
        told = house.later()["queued"]
    assert [each["user"] for each in told] == ["ada"] * 5


def test_what_this_server_writes_of_a_job_is_told(house: House) -> None:
    job_id = house.add(1)
    house.later()

    place = house.moves.hold(house.index.queued[0])
    assert place is not None
    house.journal.note(job_id, 0, "held", reason="held by eve")

    assert [each["reason"] for each in house.later()["held"]] == ["held by eve"]


def test_what_another_server_changes_of_a_waiting_job_is_told_in_time(house: House) -> None:
    job_id = house.add(1)
    house.later()
    beat = {"format": "qtrl-server/1", "updated": None}
    for name in ("lab", "other"):
        (house.layout.servers / f"{name}.json").write_text(json.dumps({**beat, "name": name}))

    Journal(house.layout, "other", durable=False).note(job_id, 0, "edited", name="another", n_batches=4)

    assert house.later()["queued"][0]["name"] == "another"


def test_the_choice_skips_jobs_that_may_not_run_and_rests_when_none_may(house: House) -> None:
    house.add(1, instrument="elsewhere")
    choice = Choice(house.index, house.roll, house.clock)
    asked: list[str] = []

    def here(place: tickets.Place, known: Any) -> bool:
        asked.append(place.ticket.job_id)
        return known.get("instrument") is None

    house.clock.step = 0.01
    assert choice.next(here) is None
    looked = choice.has_none
    assert choice.next(here) is None
    assert len(asked) == 1
    assert looked and not choice.has_none  # while it rests it does not know: a drain waits for its look

    wanted = house.add(2)
    house.clock.now += 5
    found = choice.next(here)
    assert found is not None and found.ticket.job_id == wanted


def test_a_time_that_is_foretold_anew_changes_the_line_of_its_job_alone(house: House) -> None:
    for order in range(1, 4):
        house.add(order)
    first = house.later()["queued"]

    house.experience.learnt.observe(Ran(Kind("rabi", "ada", n_batches=4), batch_s=100.0))
    second = house.later(30.0)["queued"]

    assert [each["id"] for each in second] == [each["id"] for each in first]
    assert [each["place"] for each in second] == [1, 2, 3]
    assert second[2]["eta_start"] > first[2]["eta_start"]


def test_a_long_queue_is_foretold_a_little_at_a_time_to_its_very_end(house: House) -> None:
    for order in range(1, NEAR + 251):
        house.add(order)
    house.clock.step = 0.004
    first = house.later()["queued"]

    told = [house.later()["queued"] for _ in range(50)][-1]

    assert [each["id"] for each in told] == [each["id"] for each in first]
    assert first[-1]["eta_start"] is None
    assert all(each["eta_start"] for each in told)


def test_nothing_is_foretold_any_more_when_the_queue_is_paused(house: House) -> None:
    for order in range(1, NEAR + 51):
        house.add(order)
    assert all(each["eta_start"] for each in [house.later() for _ in range(20)][-1]["queued"])

    pause(house.layout, Pause(None, "fridge warm", "ada", "2026-11-23T10:15:30.000000Z"))
    told = [house.later() for _ in range(20)][-1]

    assert {(each["eta_start"], each["reason"]) for each in told["queued"]} == {
        (None, "the queue is paused: fridge warm")
    }


def test_nobody_knows_when_a_job_starts_that_waits_for_a_held_one_nor_one_that_waits_for_that(
    house: House,
) -> None:
    held = house.add(1)
    (ticket,) = (house.layout.queue / "50-normal").iterdir()
    ticket.rename(house.layout.held / ticket.name)
    behind = house.add(2, after=[held])
    house.add(3, after=[behind])
    house.add(4)

    told = house.later()["queued"]

    assert [each["eta_start"] is not None for each in told] == [False, False, True]


def test_of_a_job_that_waits_for_another_one_that_is_told_before_that_the_queue_is_paused(
    house: House,
) -> None:
    first = house.add(1)
    house.add(2, after=[first])
    pause(house.layout, Pause(None, "fridge warm", "ada", "2026-11-23T10:15:30.000000Z"))

    told = house.later()["queued"]

    assert told[1]["reason"] == f"after job {first}; the queue is paused: fridge warm"


def test_a_long_queue_says_of_each_job_what_the_tickets_say(house: House) -> None:
    for order in range(1, 41):
        more = {"instrument": "west"} if order % 5 == 0 else {}
        house.add(order, ("ada", "bob", "eve", "joe")[order % 4], **more)
    told = house.later()["queued"]

    line = Line(serving([{"name": "lab"}], ()), keeping(Facts({"lab": "lab"})))
    for each in told:
        standing = line.next(each["user"], each["instrument"])
        assert (each["place"], each["reason"]) == (standing.place, standing.reason)
        assert each["users_ahead"] == list(standing.users)
