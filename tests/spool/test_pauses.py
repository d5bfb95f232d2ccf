"""Pauses as files."""

from __future__ import annotations

from pathlib import Path

from qtrl_spool.spool import pauses
from qtrl_spool.spool.eligible import Pause
from qtrl_spool.spool.layout import Layout

VISIT = Pause(None, "a visit", "root", "2026-11-23T10:15:30.000000Z")
REPAIR = Pause("fridge1", "a new cable", "root", "2026-11-23T10:15:30.000000Z")
WARM = Pause("fridge1", "the fridge is warm", "simulator", "2026-11-23T10:15:30.000000Z", by_backend=True)


def test_what_was_paused_is_read_back_whole(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for each in (REPAIR, WARM, VISIT):
        pauses.pause(layout, each)

    assert set(pauses.pauses(layout)) == {VISIT, REPAIR, WARM}


def test_pausing_twice_is_pausing_once_with_the_later_reason(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    later = Pause(None, "another visit", "ada", VISIT.at)
    pauses.pause(layout, VISIT)
    pauses.pause(layout, later)

    assert pauses.pauses(layout) == (later,)


def test_a_person_does_not_undo_what_an_instrument_asked_for(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    pauses.pause(layout, WARM)

    assert not pauses.resume(layout, "fridge1")
    assert pauses.pauses(layout) == (WARM,)
    assert pauses.resume(layout, "fridge1", by_backend=True)
    assert pauses.pauses(layout) == ()


def test_resuming_what_is_not_paused_changes_nothing(tmp_path: Path) -> None:
    assert not pauses.resume(Layout(tmp_path), None)


def test_a_pause_that_cannot_be_read_is_one_all_the_same(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    pauses.pause(layout, VISIT)
    (layout.paused / "all.json").write_text("{")

    (found,) = pauses.pauses(layout)

    assert (found.server, found.reason) == (None, "all.json cannot be read")


def test_a_server_named_like_the_file_of_the_whole_queue_is_paused_alone(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    pauses.pause(layout, Pause("all", "a cable", "root", VISIT.at))

    assert [each.server for each in pauses.pauses(layout)] == ["all"]
