"""What one user hands in too much of waits in the box, with its reason; others pass, nothing is lost."""

from __future__ import annotations

import os

import pytest

from qtrl_spool import Spool, fs
from qtrl_spool.server.shares import Shares
from qtrl_spool.spool.layout import Layout

from .intakes import drop, intake_of, queued
from .support import until

ADA, BOB = 12002, 12003


@pytest.fixture
def layout(spool: Spool) -> Layout:
    return Layout.of(spool.path)


def test_without_limits_nobody_is_counted() -> None:
    assert not Shares(None, None, lambda _: 0).counts


def test_so_many_jobs_of_one_user_may_wait_and_others_are_not_kept() -> None:
    shares = Shares(2, None, {"a": ADA, "b": ADA, "c": BOB}.get)
    shares.begin(["a", "b", "c"], 0.0)

    assert "2 jobs waiting" in (shares.refusal(ADA, 0.0) or ("",))[0]
    assert shares.refusal(BOB, 0.0) is None


def test_what_was_taken_counts_at_once() -> None:
    shares = Shares(1, None, lambda _: None)
    shares.begin([], 0.0)
    shares.take(ADA, 0.0)

    assert shares.refusal(ADA, 0.0) is not None


def test_within_a_minute_so_many_are_taken_and_the_next_one_when_the_minute_is_over() -> None:
    shares = Shares(None, 2, lambda _: None)
    for now in (0.0, 30.0):
        shares.begin([], now)
        shares.take(ADA, now)
    shares.begin([], 50.0)
    refusal = shares.refusal(ADA, 50.0)
    shares.begin([], 60.0)

    assert refusal is not None and refusal[1] == pytest.approx(10.0)
    assert shares.refusal(ADA, 60.0) is None


def test_an_owner_is_asked_for_once() -> None:
    asked: list[str] = []
    shares = Shares(1, None, lambda each: asked.append(each) or ADA)
    shares.begin(["a"], 0.0)
    shares.begin(["a"], 1.0)

    assert asked == ["a"]


@pytest.mark.parametrize("limit", ["per_user_queued", "per_user_per_minute"])
def test_surplus_drops_wait_with_a_reason(layout: Layout, limit: str) -> None:
    text = layout.mark.read_text().replace("limits: {}", f"limits: {{{limit}: 2}}")
    layout.mark.write_text(text)
    for n in range(4):
        drop(layout, f"{n}.json")
    intake = intake_of(layout)

    intake.scan()
    intake.scan()

    assert len(queued(layout)) == 2
    assert [each["drop"] for each in intake.waiting()] == ["50-normal/2.json", "50-normal/3.json"]
    assert all(f"limits: {limit} is 2" in each["reason"] for each in intake.waiting())
    assert intake.recheck_after_s


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_a_job_that_ran_makes_room_for_the_next_and_another_user_is_not_kept(layout: Layout) -> None:
    text = layout.mark.read_text().replace("limits: {}", "limits: {per_user_queued: 1}")
    layout.mark.write_text(text)
    for name, uid in (("a", ADA), ("b", ADA), ("c", BOB)):
        os.chown(drop(layout, f"{name}.json"), uid, uid)
    intake = intake_of(layout)
    intake.scan()
    first = queued(layout)
    fs.remove(next(layout.queue.glob(f"*/*{first[0]}*")))

    until(lambda: intake.scan() or len(queued(layout)) == 2)

    assert len(first) == 2
    assert intake.waiting() == []
