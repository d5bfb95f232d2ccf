"""Repairs that are killed, that fail, that meet many damages at once, or that meet living servers."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qtrl_spool import Spool
from qtrl_spool.errors import QtrlSpoolError, UsageError
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.repair import MENDED, Mending, repair
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.settings import read_settings
from tests.faults import forked, promise, spools
from tests.faults.injector import DIED, Fault, Injector, Wire

from . import damage
from .damage import DAMAGES

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
MIXTURES = {
    "tickets": (
        "lose_waiting_ticket_with_a_copy",
        "leave_half_a_claim",
        "queue_a_done_job_again",
        "put_strays_everywhere",
        "lose_held_ticket",
    ),
    "records": (
        "lose_record",
        "tear_events",
        "unpublish",
        "leave_marks",
        "lose_cancelled_ticket",
        "lose_home",
    ),
    "the rest": (
        "lose_events",
        "garble_record",
        "lose_folders",
        "leave_temporaries",
        "cut_ticket_with_a_copy",
    ),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return damage.make_template(tmp_path_factory.mktemp("whole") / "spool")


def mend(root: Path) -> list[Mending]:
    layout = Layout.of(root)
    return list(repair(layout, read_settings(layout.mark), wait=lambda _: None))


def repair_with(root: Path, fault: Fault, log: Path) -> tuple[int | None, str]:
    """Repair a spool in a child in which a call fails; return how it ended and what failed."""
    wire = Wire()

    def work() -> int:
        Injector(root, fault, wire).install()
        try:
            mend(root)
        except (QtrlSpoolError, OSError) as error:
            print(f"Error: {error}", flush=True)
            return forked.GAVE_UP
        return 0

    return forked.ended(forked.fork(work, log), 60), wire.what


def is_right(root: Path, before: dict[str, str]) -> list[str]:
    """Return what is not right with a spool that was repaired to its end."""
    problems = [str(each) for each in mend(root) if each.verdict == MENDED]
    problems += [f"lost: {path}" for path in damage.lost(before, damage.contents(root))]
    found = promise.look(root, ())
    problems += [*found.twice, *found.torn]
    there = promise.tickets(root)
    rejected = damage.job(root, "rejected")
    problems += [f"{each} is nowhere" for each in damage.ids(root) if each not in there and each != rejected]
    return problems


def damaged(whole: Path, root: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Make a damaged copy of a spool; return what may not get lost."""
    shutil.copytree(whole, root, symlinks=True)
    for name in names:
        DAMAGES[name](root)
    return damage.contents(root)


@pytest.mark.parametrize("mixture", MIXTURES)
def test_a_repair_killed_before_any_change_is_brought_to_its_end_by_the_next(
    whole: Path, tmp_path: Path, mixture: str
) -> None:
    broken, n, died = [], 0, True
    while died:
        n += 1
        root = tmp_path / f"spool-{n}"
        before = damaged(whole, root, MIXTURES[mixture])
        how, what = repair_with(root, Fault(n), tmp_path / "log")
        died = how == DIED
        assert how in {0, DIED}, (tmp_path / "log").read_text()
        mend(root)
        broken += [f"killed at {n} ({what}): {problem}" for problem in is_right(root, before)]
        shutil.rmtree(root)
    assert broken == []
    assert n > 20


@pytest.mark.parametrize("code", ["ENOSPC", "EIO", "EROFS", "ESTALE"])
def test_a_repair_that_the_storage_refuses_says_so_and_does_no_harm(
    whole: Path, tmp_path: Path, code: str
) -> None:
    broken = []
    for n in range(1, 200, 17):
        root = tmp_path / f"spool-{n}"
        before = damaged(whole, root, MIXTURES["tickets"] + MIXTURES["records"])
        fault = Fault(n, getattr(errno, code), lasting=bool(n % 2))
        how, what = repair_with(root, fault, tmp_path / "log")
        if how not in {0, forked.GAVE_UP}:
            broken.append(f"{fault} ({what}): it ended with {how}: {(tmp_path / 'log').read_text()[-800:]}")
        mend(root)
        broken += [f"{fault} ({what}): {problem}" for problem in is_right(root, before)]
        shutil.rmtree(root)
    assert broken == []


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    names=st.lists(
        st.sampled_from(sorted(set(DAMAGES) - {"cut_ticket"})), min_size=2, max_size=8, unique=True
    )
)
def test_any_mixture_of_damages_is_put_right(whole: Path, tmp_path: Path, names: list[str]) -> None:
    root = tmp_path / "spool"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(whole, root, symlinks=True)
    for name in names:
        try:
            DAMAGES[name](root)
        except (LookupError, OSError, AssertionError):
            continue  # an earlier damage left nothing to damage in this way
    before = damage.contents(root)
    mend(root)
    mend(root)
    assert is_right(root, before) == []


def test_a_repair_beside_living_servers_touches_nothing_and_nothing_runs_twice(tmp_path: Path) -> None:
    root = spools.template(tmp_path / "spool", durability="fast", lease_s=30)
    spool = Spool(root)
    servers = [
        forked.fork(lambda name=name: forked.serve_here(root, name, drain=False), tmp_path / f"{name}.log")
        for name in ("a", "b")
    ]
    layout = Layout.of(root)
    done = threading.Event()
    mended: list[Mending] = []

    def again_and_again() -> None:
        while not done.is_set():
            mended.extend(repair(layout, read_settings(layout.mark), wait=lambda _: done.wait(0.02)))

    repairing = threading.Thread(target=again_and_again)
    repairing.start()
    jobs = [spool.submit(pi_no_pi(0), check=False, n_reps=2) for _ in range(30)]
    for n, job in enumerate(jobs):
        if n % 5 == 0:
            with contextlib.suppress(UsageError):  # it runs already
                job.hold() if n % 2 else job.move("urgent")
    for job in jobs:
        with contextlib.suppress(UsageError):  # it is not held
            job.release()
        job.wait(60)
    done.set()
    repairing.join()
    for server in servers:
        forked.kill(server)

    assert [each for each in mended if each.verdict == MENDED] == []
    assert [[event["event"] for event in job.log()].count("committed") for job in jobs] == [1] * 30


def test_a_running_job_that_lost_its_home_gets_another_and_goes_on(tmp_path: Path) -> None:
    root = spools.template(tmp_path / "spool", durability="fast", lease_s=30)
    job = Spool(root).submit(pi_no_pi(0), {"simulator": {"batch_s": 0.1}}, n_reps=2, n_batches=20)
    server = forked.fork(lambda: forked.serve_here(root, "a", drain=False), tmp_path / "log")
    while not job.running():
        assert forked.ended_by_now(server) is None
    shutil.rmtree(promise.home(root, job.id))

    told = mend(root)
    state = job.wait(60).state
    forked.kill(server)

    assert [each.verdict for each in told] == [MENDED] and "had no home" in told[0].said
    assert state == "done" and promise.published(root)


def test_what_a_living_server_is_busy_with_is_left_to_it(tmp_path: Path) -> None:
    root = spools.template(tmp_path / "spool", durability="fast", lease_s=30)
    job = Spool(root).submit(pi_no_pi(0), {"simulator": {"batch_s": 0.1}}, n_reps=2, n_batches=1000)
    server = forked.fork(lambda: forked.serve_here(root, "a", drain=False), tmp_path / "log")
    while not job.running():
        assert forked.ended_by_now(server) is None
    (root / "running" / "a" / "notes.txt").touch()
    assert mend(root) == []
    forked.kill(server)
    assert [each.what for each in mend(root)] == ["running/a/notes.txt"]
