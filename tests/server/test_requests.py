"""Requests as files: whatever lies in ``requests/``, it is answered, and nothing stops the server."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool import Job, Spool
from qtrl_spool.errors import WaitTimeoutError
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.spool import requests
from qtrl_spool.spool.layout import Layout

from .rig import install_breaking_rig
from .support import Serve, ServerProcess, quick, slow, until


@pytest.fixture(scope="module")
def lab(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Return a running server on a spool that the tests here share."""
    root = tmp_path_factory.mktemp("lab") / "spool"
    shutil.copytree(template, root)
    server = ServerProcess(Spool(root)).ready()
    yield server
    server.close()


@pytest.fixture
def box(lab: ServerProcess) -> Path:
    """Return ``requests/`` of the shared server."""
    return lab.spool.path / "requests"


def held(spool: Spool) -> Job:
    job = spool.submit(pi_no_pi(0), **quick(hold=True))
    until(lambda: job.state == "held")
    return job


def put(box: Path, name: str, text: str | bytes) -> None:
    hidden = box / ".mine.tmp"
    hidden.write_bytes(text if isinstance(text, bytes) else text.encode())
    hidden.rename(box / name)


def answer_to(box: Path, name: str) -> dict[str, Any]:
    return until(lambda: requests.answer(Layout.of(box.parent), name))  # type: ignore[no-any-return]


# ---------------------------------------------------------------- what may lie there

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
ODD: dict[str, Callable[[Path], object]] = {
    "a named pipe": os.mkfifo,
    "a link": lambda path: path.symlink_to("/etc/passwd"),
    "a link to nowhere": lambda path: path.symlink_to("/nowhere"),
    "a link to a folder": lambda path: path.symlink_to("/etc"),
    "a folder": lambda path: path.mkdir(),
    "a megabyte": lambda path: path.write_text("{cancel: " + "x" * 1_000_000 + "}"),
    "a bomb of aliases": lambda path: path.write_text(BOMB + "cancel: *i\n...\n"),
    "a deep nest": lambda path: path.write_text("{cancel: " + "[" * 10_000 + "]" * 10_000 + "}"),
    "a deep nest in JSON": lambda path: path.write_text('{"cancel": ' + "[" * 9_999 + "]" * 9_999 + "}"),
    "a number that is none": lambda path: path.write_text("{cancel: x, now: .nan}"),
    "a number without end": lambda path: path.write_text("{cancel: " + "9" * 5_000 + "}"),
    "half a character": lambda path: path.write_text('{"cancel": "\\ud800"}'),
    "no text": lambda path: path.write_bytes(b"{\xff\xfe\x00cancel: x}"),
    "a list": lambda path: path.write_text("[cancel, x]\n...\n"),
    "two verbs": lambda path: path.write_text("{cancel: x, hold: x}"),
    "no verb": lambda path: path.write_text("{destroy: everything}"),
    "a key that is no text": lambda path: path.write_text("{cancel: x, [1]: 2}"),
    "a verb with a list": lambda path: path.write_text("{cancel: [a, b]}"),
    "a verb with nothing": lambda path: path.write_text("{cancel: }"),
    "a path": lambda path: path.write_text("{cancel: ../../20261123-101530-rabi-k3f9x}"),
    "a tag that makes an object": lambda path: path.write_text("{cancel: !!python/name:os.system x}"),
    "marks of a patch": lambda path: path.write_text("{cancel: !new x, now: !delete }"),
}


@pytest.mark.parametrize("what", ODD)
def test_whatever_lies_in_requests_is_refused_and_the_next_one_is_answered(
    lab: ServerProcess, box: Path, what: str
) -> None:
    name = f"{what}.json" if "JSON" in what or "half" in what else f"{what}.yaml"
    hidden = box / ".odd.tmp"
    ODD[what](hidden)
    hidden.rename(box / name)

    reply = answer_to(box, name)
    began = time.monotonic()
    job = held(lab.spool)

    assert not reply["ok"] and reply["message"]
    assert job.cancel() and time.monotonic() - began < 10
    assert lab.process.poll() is None


@pytest.mark.parametrize(
    "name", ["prüfung.yaml", "two\nlines.yaml", "a b.yaml", "50%.yaml", "ñ" * 95 + ".yaml"]
)
def test_a_request_may_have_any_name(lab: ServerProcess, box: Path, name: str) -> None:
    job = held(lab.spool)
    put(box, name, f"{{cancel: {job.id}}}\n")

    assert answer_to(box, name)["ok"]


def test_temporary_files_are_left_alone(lab: ServerProcess, box: Path) -> None:
    put(box, "wish.yaml.part", "{cancel: x}")
    put(box, "other.yaml", "{cancel: x}")
    answer_to(box, "other.yaml")

    assert (box / "wish.yaml.part").exists()


# ---------------------------------------------------------------- the same name again


def test_a_request_under_a_name_that_was_used_before_is_carried_out(lab: ServerProcess, box: Path) -> None:
    spool = lab.spool
    for value in (0.11, 0.12):
        put(box, "update.yaml", f"{{config: {{variables/Q1/rabi_amp: {value}}}, reason: again}}\n")
        until(lambda value=value: spool.config["variables/Q1/rabi_amp"] == value)


def test_a_request_that_cannot_be_answered_keeps_no_other_one_waiting(lab: ServerProcess, box: Path) -> None:
    job = held(lab.spool)
    (box / "answered" / "a-blocked.yaml").mkdir()
    put(box, "a-blocked.yaml", "{cancel: x}")
    put(box, "b-fine.yaml", f"{{cancel: {job.id}}}")

    assert answer_to(box, "b-fine.yaml")["ok"]
    (box / "answered" / "a-blocked.yaml").rmdir()
    assert not answer_to(box, "a-blocked.yaml")["ok"]


# ---------------------------------------------------------------- pausing


def test_a_paused_queue_takes_no_job_tells_why_and_stays_paused_over_a_restart(
    spool: Spool, serve: Serve
) -> None:
    server = serve().ready()
    spool.pause("a visit")
    job = spool.submit(pi_no_pi(0), **quick())
    until(lambda: job.status()["accepted"])
    server.kill()
    serve().ready()
    until(lambda: json.loads((spool.path / "queue.json").read_text())["paused"])

    told = json.loads((spool.path / "queue.json").read_text())

    assert job.status()["reason"] == told["reason"] == "the queue is paused: a visit"
    assert spool.resume() == "the queue goes on"
    assert job.wait(60).state == "done"
    assert not spool.queue()["paused"]


def test_a_running_job_goes_on_while_the_queue_is_paused(spool: Spool, serve: Serve) -> None:
    serve().ready()
    job = spool.submit(pi_no_pi(0), **slow(batch_s=0.1, n_batches=5))
    until(job.running)

    spool.pause("a visit")

    assert job.wait(60).state == "done"


def test_one_paused_server_leaves_the_jobs_to_the_other(spool: Spool, serve: Serve) -> None:
    serve(name="lab-a").ready()
    serve(name="lab-b").ready()
    spool.pause("a new cable", server="lab-a")

    jobs = [spool.submit(pi_no_pi(0), check=False, **quick()) for _ in range(4)]

    assert [job.wait(60).status()["server"] for job in jobs] == ["lab-b"] * 4
    assert not spool.queue()["paused"]


def test_a_drained_server_runs_what_is_queued_leaves_what_comes_later_and_ends(
    spool: Spool, serve: Serve
) -> None:
    server = serve().ready()
    running = spool.submit(pi_no_pi(0), **slow(batch_s=0.3, n_batches=5))
    until(running.running)
    queued, parked = spool.submit(pi_no_pi(0), **quick()), spool.submit(pi_no_pi(0), **quick(hold=True))
    until(lambda: queued.place and parked.state == "held")

    said = spool.drain()
    late = spool.submit(pi_no_pi(0), **quick())

    assert "lab takes no more drops" in said
    assert server.process.wait(60) == 0
    assert [job.state for job in (running, queued, parked, late)] == ["done", "done", "held", "queued"]
    assert late.status()["accepted"] is None
    serve().ready()
    assert late.wait(60).state == "done"


def test_a_drain_of_one_server_leaves_the_other(spool: Spool, serve: Serve) -> None:
    first, second = (serve(name=name).ready() for name in ("lab-a", "lab-b"))

    spool.drain(server="lab-a")

    assert first.process.wait(60) == 0
    assert spool.submit(pi_no_pi(0), **quick()).wait(60).status()["server"] == "lab-b"
    assert second.process.poll() is None


def test_a_drain_that_was_asked_for_while_no_server_ran_is_answered_with_that_and_drains_none(
    spool: Spool, serve: Serve
) -> None:
    with pytest.raises(WaitTimeoutError, match="there is nothing to drain"):
        spool.ask({"drain": "queue"}, timeout=0.01)
    (asked,) = (path.name for path in (spool.path / "requests").iterdir() if path.is_file())
    server = serve().ready()

    answered = answer_to(spool.path / "requests", asked)

    assert not answered["ok"] and "no server was running when this was asked" in answered["message"]
    assert spool.submit(pi_no_pi(0), **quick()).wait(60).state == "done"
    assert server.process.poll() is None


def test_a_drain_waits_for_a_job_that_is_to_be_tried_again(
    spool: Spool, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in install_breaking_rig(tmp_path / "rig", 3).items():
        monkeypatch.setenv(key, f"{value}{os.pathsep}{os.environ.get(key, '')}" if "PATH" in key else value)
    server = serve("--backend", "rig").ready()
    job = spool.submit(pi_no_pi(0), **quick(retries=3))
    until(lambda: [event["event"] for event in job.log()].count("error") == 3)

    spool.drain()

    assert server.process.wait(60) == 0
    assert job.state == "done"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{drain: queue, server: nobody}", "no server 'nobody'"),
        ("{drain: fridge}", "drain what"),
        ("{pause: queue}", "gives no reason"),
        ("{pause: fridge, reason: x}", "pause what"),
        ("{pause: queue, server: nobody, reason: x}", "no server 'nobody'"),
        ("{pause: queue, server: ../x, reason: x}", "cannot be named"),
        ("{pause: queue, reason: [1]}", "the reason is no text"),
        ("{pause: queue, reason: ' '}", "the reason is empty"),
    ],
)
def test_a_pause_that_makes_no_sense_is_refused(lab: ServerProcess, box: Path, text: str, says: str) -> None:
    put(box, "pause.yaml", text)

    answered = answer_to(box, "pause.yaml")
    (box / "answered" / "pause.yaml").unlink()

    assert says in answered["message"] and not lab.spool.queue()["paused"]


def test_the_servers_that_could_be_meant_are_named(lab: ServerProcess, box: Path) -> None:
    put(box, "nobody.yaml", "{drain: queue, server: nobody}")
    assert answer_to(box, "nobody.yaml")["error"]["hint"] == "there is lab"


# ---------------------------------------------------------------- several servers, and none


def test_a_request_about_the_job_of_a_dead_server_is_answered_by_a_living_one(
    spool: Spool, serve: Serve
) -> None:
    dead = serve(name="lab-a").ready()
    job = spool.submit(pi_no_pi(0), **slow(batch_s=60))
    until(lambda: job.status()["phase"] == "acquiring")
    serve(name="lab-b").ready()
    dead.kill()

    reply = spool.ask({"cancel": job.id}, timeout=60)

    assert reply["by"] == "lab-b"
    assert job.wait(60).state == "cancelled"


def test_a_request_without_a_server_waits_says_so_and_is_answered_when_one_starts(
    spool: Spool, serve: Serve
) -> None:
    with pytest.raises(WaitTimeoutError, match="no server is running: the request waits"):
        spool.ask({"pause": "queue", "reason": "a visit"}, timeout=0.1)

    serve().ready()

    assert until(lambda: spool.queue()["paused"])


def test_requests_are_answered_within_a_second_while_an_acquisition_blocks(
    spool: Spool, serve: Serve
) -> None:
    serve().ready()
    running = spool.submit(pi_no_pi(0), **slow(batch_s=60))
    until(lambda: running.status()["phase"] == "acquiring")
    job = held(spool)

    times = []
    for turn in range(10):
        began = time.monotonic()
        (job.release, job.hold)[turn % 2]()
        times.append(time.monotonic() - began)

    assert sorted(times)[len(times) // 2] < 1.0
    assert running.status()["phase"] == "acquiring"
