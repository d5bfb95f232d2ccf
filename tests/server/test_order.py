"""The order of the queue: moved by request, by hand, over restarts; each against a list in memory."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qtrl_spool import Job, Spool
from qtrl_spool.errors import NotAllowedError, UsageError
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.spool import tickets
from qtrl_spool.spool.layout import Layout

from .people import ADA, BOB, ask_as, needs_root, submit_as
from .support import Serve, ServerProcess, quick, until


def queue_of(spool: Spool, names: str, priority: str = "normal") -> dict[str, Job]:
    """Return jobs that were accepted in this order."""
    jobs = {}
    for name in names:
        job = jobs[name] = spool.submit(pi_no_pi(0), check=False, name=name, priority=priority, **quick())
        until(lambda job=job: job.status()["accepted"] and job.place)
    return jobs


def order(spool: Spool) -> str:
    return "".join(job["name"] for job in spool.queue()["queued"])


@pytest.fixture(scope="module")
def lab(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spool]:
    """Return a spool with a server that takes no jobs, for all tests here."""
    root = tmp_path_factory.mktemp("lab") / "spool"
    shutil.copytree(template, root)
    server = ServerProcess(Spool(root)).ready()
    Spool(root).pause("a look at the order")
    yield Spool(root)
    server.close()


@pytest.fixture
def paused(lab: Spool) -> Iterator[Spool]:
    """Return that spool, with no jobs."""
    yield lab
    for job in [*lab.queue()["queued"], *lab.queue()["held"]]:
        lab.job(job["id"]).cancel()


def test_a_job_moved_before_another_runs_next_before_it(paused: Spool) -> None:
    jobs = queue_of(paused, "abcd")

    said = jobs["d"].move(before=jobs["b"])

    assert order(paused) == "adbc"
    assert said == f"{jobs['d'].id} runs before {jobs['b'].id} now, at priority 50"
    assert [job["place"] for job in paused.queue()["queued"]] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        (("da",), "dabc"),
        (("ac",), "bacd"),
        (("dc",), "abdc"),
        (("ab",), "abcd"),
        (("da", "ca", "ba"), "dcba"),
        (("da", "cd", "bc"), "bcda"),
        (("ad", "bd", "cd"), "abcd"),
        (("db",) * 3, "adbc"),
    ],
)
def test_moves_before_others_add_up(paused: Spool, moves: tuple[str, ...], expected: str) -> None:
    jobs = queue_of(paused, "abcd")

    for job, other in moves:
        jobs[job].move(before=jobs[other])

    assert order(paused) == expected


def test_the_order_is_the_same_after_a_restart_and_jobs_run_in_it(spool: Spool, serve: Serve) -> None:
    server = serve().ready()
    spool.pause("a look at the order")
    jobs = queue_of(spool, "abcd")
    jobs["c"].move(before=jobs["a"])
    jobs["d"].move(before=jobs["c"])
    jobs["b"].move("urgent")
    server.kill()
    serve().ready()
    before = order(spool)
    (late,) = queue_of(spool, "e").values()

    spool.resume()
    late.wait(60)
    ran = sorted(jobs.values(), key=lambda job: job.status()["started"])

    assert before == "bdca"
    assert "".join(job.name for job in ran) == before
    assert late.status()["started"] > ran[-1].status()["started"]


def test_a_job_moved_before_one_of_another_priority_takes_that_priority(paused: Spool) -> None:
    jobs = queue_of(paused, "ab", "low") | queue_of(paused, "cd")

    jobs["b"].move(before=jobs["d"])

    assert order(paused) == "cbda"
    assert jobs["b"].status()["priority"] == 50


def by_request(job: Job) -> None:
    job.move("urgent")


def by_hand(job: Job) -> None:
    ticket = tickets.find(Layout.of(job.home.parents[2]), job.id)
    assert ticket is not None
    ticket.path.rename(ticket.path.parent.parent / "10-urgent" / ticket.path.name)


@pytest.mark.parametrize("move", [by_request, by_hand])
def test_a_plain_mv_between_priorities_gives_the_order_that_a_request_gives(
    paused: Spool, move: Callable[[Job], None]
) -> None:
    jobs = queue_of(paused, "abcd")
    jobs["d"].move(before=jobs["b"])

    for name in "bda":
        move(jobs[name])

    assert until(lambda: order(paused) == "adbc")
    assert [job["priority"] for job in paused.queue()["queued"]] == [10, 10, 10, 50]


def test_a_held_job_that_was_moved_has_its_place_when_it_is_released(paused: Spool) -> None:
    jobs = queue_of(paused, "abc")
    jobs["c"].hold()
    jobs["c"].move(before=jobs["a"])

    jobs["c"].release()

    assert order(paused) == "cab"


def test_a_move_that_makes_no_sense_is_refused(paused: Spool) -> None:
    jobs = queue_of(paused, "ab")
    jobs["b"].cancel()

    for request, says in [
        ({"move": jobs["a"].id}, "must name either"),
        ({"move": jobs["a"].id, "priority": 10, "before": jobs["b"].id}, "must name either"),
        ({"move": jobs["a"].id, "before": jobs["a"].id}, "before itself"),
        ({"move": jobs["a"].id, "before": jobs["b"].id}, "cancelled and cannot be overtaken"),
    ]:
        with pytest.raises(UsageError, match=says):
            paused.ask(request)
    assert order(paused) == "a"


@needs_root
def test_nobody_overtakes_the_job_of_somebody_else_but_admins_may_order_it(
    template: Path, shared: Spool, server: object
) -> None:
    adas, bobs = (submit_as(uid, shared) for uid in (ADA, BOB))

    refused = ask_as(BOB, shared, {"move": bobs.id, "before": adas.id})
    by_root = ask_as(0, shared, {"move": bobs.id, "before": adas.id})

    assert refused["error"]["type"] == NotAllowedError.__name__
    assert by_root["ok"]
    assert [job["id"] for job in shared.queue()["held"]] == [bobs.id, adas.id]
