"""Drops that change hands, or live through a death: one ticket each, synced before it counts."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool import Spool, fs
from qtrl_spool.errors import StorageError
from qtrl_spool.job import Ticket
from qtrl_spool.server.outcome import Outcome
from qtrl_spool.server.recovery import take_over
from qtrl_spool.spool import tickets
from qtrl_spool.spool.edits import Edits
from qtrl_spool.spool.journal import Journal
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.tickets import Tickets

from .intakes import TEXT, drop, intake_of, queued

JOB = "20261123-101530-rabi-k3f9x"
DROP = f"{JOB}.qjob.json"


@pytest.fixture
def layout(spool: Spool) -> Layout:
    return Layout.of(spool.path)


def before(monkeypatch: pytest.MonkeyPatch, call: str, marked: str, act: Callable[[], object]) -> list[Any]:
    """Act once, right before a call on a path that holds `marked`; empty once that has been."""
    real, to_come = getattr(os, call), [act]

    def acting(*paths: Any, **more: Any) -> Any:
        if to_come and marked in " ".join(map(str, paths)):
            to_come.pop()()
        return real(*paths, **more)

    monkeypatch.setattr(os, call, acting)
    return to_come


def refuse(code: int = errno.EIO) -> None:
    raise OSError(code, os.strerror(code))


def takes_over(layout: Layout, dead: str, server: str) -> None:
    journal, moves = Journal(layout, server, durable=False), Tickets(layout, durable=False)
    take_over(layout, Outcome(layout, journal, moves, server, max_attempts=5), dead, server)


class Trace:
    """What was synced and what was removed, in order, as paths in the spool."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.told: list[str] = []
        for call in ("fsync", "unlink"):
            monkeypatch.setattr(os, call, self._around(call, getattr(os, call), root))

    def _around(self, call: str, real: Callable[..., Any], root: Path) -> Callable[..., Any]:
        def wrapper(what: Any, *more: Any, **kwargs: Any) -> Any:
            path = os.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else str(what)
            self.told.append(f"{call} {os.path.relpath(path, root)}")
            return real(what, *more, **kwargs)

        return wrapper

    def has(self, first: str, then: str) -> bool:
        """Return whether `first` came before `then`, which came."""
        return first in self.told[: self.told.index(then)]


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")


# ---------------------------------------------------------------- one ticket


@pytest.mark.parametrize("troubled", [True, False])
def test_a_server_that_sleeps_between_its_look_at_a_drop_and_its_rename_makes_no_second_ticket(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, troubled: bool
) -> None:
    def taken_over_meanwhile() -> None:
        drop(layout, "b.json")
        other.scan()  # so that the next ticket has another number
        if troubled:
            before(monkeypatch, "unlink", "accepting/a/.", refuse)
        with contextlib.suppress(StorageError):
            takes_over(layout, "a", "b")
        for _ in range(2):
            with contextlib.suppress(StorageError):
                other.scan()

    drop(layout, "a.json")
    sleepy, other = intake_of(layout, server="a"), intake_of(layout, server="b")
    to_come = before(monkeypatch, "rename", "queue/", taken_over_meanwhile)

    with contextlib.suppress(StorageError):
        sleepy.scan()

    assert not to_come
    assert len(queued(layout)) == 2
    assert fs.names(layout.accepting_by("a")) == fs.names(layout.accepting_by("b")) == []


def test_a_drop_whose_job_has_a_ticket_and_no_home_is_not_queued_again(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = layout.accepting_by("lab") / f"50~{JOB}~a.json"
    taken.parent.mkdir()
    taken.write_text(TEXT)
    before(monkeypatch, "unlink", taken.name, refuse)
    with pytest.raises(StorageError):
        intake_of(layout).scan()
    shutil.rmtree(layout.home(JOB))

    intake_of(layout).scan()

    assert queued(layout) == [JOB] and fs.names(layout.accepting_by("lab")) == []


def test_a_drop_that_cannot_be_taken_over_does_not_keep_the_others(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("a", "b"):
        layout.accepting_by(folder).mkdir()
    for name in ("1.json", "2.json"):
        (layout.accepting_by("a") / f"50~{JOB[:-1]}{name[0]}~{name}").write_text(TEXT)
    before(monkeypatch, "rename", "~1.json", refuse)

    with pytest.raises(StorageError):
        takes_over(layout, "a", "b")

    assert [name[-6:] for name in fs.names(layout.accepting_by("b"))] == ["2.json"]


def test_a_request_is_taken_over_only_when_the_edits_of_the_dead_are_settled(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(layout, "a.json")
    intake_of(layout, server="b").scan()
    (place,) = tickets.queued(layout)
    layout.accepting_by("a").mkdir()
    edit = Edits(layout, "a", Tickets(layout, durable=False)).begin(place, b"new")
    request = layout.accepting_by("a") / f"request~{16 * 'a'}~edit.yaml"
    request.touch()
    before(monkeypatch, "rename", "/edit~", refuse)

    with pytest.raises(StorageError):
        takes_over(layout, "a", "b")
    was_left = request.exists()
    takes_over(layout, "a", "b")

    assert edit is not None and was_left
    assert fs.names(layout.accepting_by("b")) == [request.name] and len(queued(layout)) == 1


# ---------------------------------------------------------------- synced before it counts


@needs_proc
def test_a_drop_whose_ticket_was_never_synced_is_removed_only_after_that(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = layout.accepting_by("lab") / f"50~{JOB}~a.json"
    to_come = before(monkeypatch, "unlink", taken.name, lambda: refuse(errno.ENOTCONN))
    taken.parent.mkdir()
    taken.write_text(TEXT)
    with pytest.raises(StorageError):
        intake_of(layout).scan()
    assert not to_come and queued(layout) == [JOB]

    trace = Trace(monkeypatch, layout.root)
    intake_of(layout).scan()

    assert trace.has("fsync queue/50-normal", f"unlink accepting/lab/{taken.name}")
    assert queued(layout) == [JOB]


@needs_proc
def test_a_drop_that_a_dead_server_took_has_left_its_box_for_good_before_it_is_accepted(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = layout.accepting_by("lab") / f"50~{JOB}~a.json"
    taken.parent.mkdir()
    taken.write_text(TEXT)

    trace = Trace(monkeypatch, layout.root)
    intake_of(layout).scan()

    for box in ("incoming", "incoming/50-normal"):
        assert trace.has(f"fsync {box}", f"unlink accepting/lab/{taken.name}")


@needs_proc
def test_a_box_that_cannot_be_synced_keeps_only_its_own_drops(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout.accepting_by("lab").mkdir()
    for priority, letter in ((10, "1"), (50, "2")):
        (layout.accepting_by("lab") / f"{priority}~{JOB[:-1]}{letter}~a.json").write_text(TEXT)
    real, (box,) = os.fsync, layout.incoming.glob("10-*")

    def failing(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}") == str(box):
            refuse()
        real(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StorageError):
        intake_of(layout).scan()

    assert queued(layout) == [f"{JOB[:-1]}2"]


@needs_proc
def test_a_priority_that_a_dead_server_made_is_synced_before_a_drop_goes_for_it(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(layout, DROP, box="60-mine")
    (layout.queue / "60-mine").mkdir()
    trace = Trace(monkeypatch, layout.root)

    intake_of(layout).scan()

    (removed,) = [told for told in trace.told if told.startswith("unlink accepting/lab/60~")]
    assert trace.has("fsync queue", removed)


@needs_proc
def test_a_home_that_a_dead_server_made_is_synced_before_its_drop_goes_for_it(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = layout.accepting_by("lab") / f"50~{JOB}~a.json"
    taken.parent.mkdir()
    taken.write_text(TEXT)
    home = layout.home(JOB)
    home.mkdir(parents=True)
    trace = Trace(monkeypatch, layout.root)

    intake_of(layout).scan()

    for folder in (home.parent, home.parent.parent):
        assert trace.has(f"fsync {folder.relative_to(layout.root)}", f"unlink accepting/lab/{taken.name}")


def test_a_copy_that_was_left_is_no_job(layout: Layout) -> None:
    layout.accepting_by("dead").mkdir()
    (layout.accepting_by("dead") / f".{Ticket(50, 1, JOB).name}").write_bytes(b"half")

    intake_of(layout).scan()

    assert queued(layout) == []


# ---------------------------------------------------------------- trouble of one


def unsyncable(monkeypatch: pytest.MonkeyPatch, marked: str) -> None:
    """Let no file and no folder be synced whose path ends so."""
    real = os.fsync

    def failing(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(marked):
            refuse()
        real(descriptor)

    monkeypatch.setattr(os, "fsync", failing)


@needs_proc
def test_a_box_that_can_never_be_synced_keeps_the_drops_of_no_other(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(layout, "theirs.json", box="60-mine")
    drop(layout, "good.json")
    unsyncable(monkeypatch, "incoming/60-mine")
    intake = intake_of(layout)

    with pytest.raises(StorageError):
        intake.scan()

    assert len(queued(layout)) == 1
    assert fs.names(layout.incoming / "60-mine") == ["theirs.json"]
    assert [each["drop"] for each in intake.waiting()] == ["60-mine/theirs.json"]


@needs_proc
def test_a_job_whose_home_can_never_be_synced_keeps_no_other(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout.accepting_by("lab").mkdir()
    for letter in "123":
        (layout.accepting_by("lab") / f"50~{JOB[:-1]}{letter}~a.json").write_text(TEXT)
    unsyncable(monkeypatch, f"{JOB[:-1]}2")

    with pytest.raises(StorageError):
        intake_of(layout).scan()

    assert sorted(queued(layout)) == [f"{JOB[:-1]}1", f"{JOB[:-1]}3"]
    assert [name[:27] for name in fs.names(layout.accepting_by("lab"))] == [f"50~{JOB[:-1]}2"[:27]]
