"""One file that cannot be read or written costs its own job only, for as long as that lasts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool import Spool
from qtrl_spool.client import Job
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.spool import pauses, requests, servers
from qtrl_spool.spool.layout import Layout

from .broken import BrokenServer
from .rig import install_rig
from .support import Serve, quick, until

Breaking = Callable[..., BrokenServer]
KINDS = {
    "ticket": r"^(open|read) (queue|running)/.*{id}\.c\d+\.qjob",
    "events": r"^(open|read) .*{id}/events\.c0\.jsonl",
    "record": r"^(open|read) .*{id}/status\.json",
}
of_every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def breaking(spool: Spool) -> Iterator[Breaking]:
    """Return a function that starts a server whose storage refuses something; all are gone after the test."""
    started: list[BrokenServer] = []

    def start(*options: str, name: str = "lab", refuses: str = "", **more: str) -> BrokenServer:
        started.append(BrokenServer(spool, *options, name=name, refuses=refuses, more=more))
        return started[-1]

    yield start
    for server in started:
        server.close()


def queued(spool: Spool, serve: Serve, n: int = 2, **more: Any) -> list[Job]:
    """Have jobs accepted, in their order, by a server that ends before any of them has run."""
    server = serve(name="before").ready()
    spool.pause("until the file is broken")
    jobs = [spool.submit(pi_no_pi(0), **quick(**more)) for _ in range(n)]
    tickets = until(lambda: len(found := sorted((spool.path / "queue").glob("*/*.qjob"))) == n and found)
    assert server.stop() == 0
    (spool.path / "servers" / "before.json").unlink()
    pauses.resume(Layout.of(spool.path), None)
    return [job for ticket in tickets for job in jobs if job.id in ticket.name]


def trouble(spool: Spool, name: str = "lab") -> str:
    beat = next((each for each in spool.queue()["servers"] if each["name"] == name), {})
    return str(beat.get("trouble") or "")


def put_into(spool: Spool, job: Job, server: str) -> Path:
    """Put a waiting ticket among those that a server has claimed."""
    (ticket,) = (spool.path / "queue").glob(f"*/*{job.id}*")
    claimed = spool.path / "running" / server / ticket.name.replace(".c0.", ".c1.")
    claimed.parent.mkdir(exist_ok=True)
    return ticket.rename(claimed)


@of_every_kind
def test_the_next_job_is_left_aside_as_long_as_a_file_of_it_cannot_be_read(
    spool: Spool, serve: Serve, breaking: Breaking, kind: str
) -> None:
    first, second = queued(spool, serve)

    server = breaking(refuses=KINDS[kind].format(id=first.id))
    assert second.wait(60).state == "done"
    until(lambda: first.id in trouble(spool))
    said = server.said().count(first.id)
    server.refuse("")

    assert first.wait(60).state == "done"
    assert said <= 3 and server.hits() < 100
    until(lambda: not trouble(spool))


@of_every_kind
def test_a_claimed_ticket_of_which_a_file_cannot_be_read_keeps_no_server_from_starting(
    spool: Spool, serve: Serve, breaking: Breaking, kind: str
) -> None:
    first, second = queued(spool, serve)
    put_into(spool, first, "lab")

    server = breaking(refuses=KINDS[kind].format(id=first.id))
    assert second.wait(60).state == "done"
    server.refuse("")

    assert first.wait(60).state == "done"
    assert [event["event"] for event in second.log()].count("committed") == 1


@pytest.mark.parametrize("kind", ["ticket", "events"])
def test_a_broken_file_of_one_job_keeps_no_other_job_of_a_dead_server(
    spool: Spool, serve: Serve, breaking: Breaking, kind: str
) -> None:
    first, second = queued(spool, serve)
    put_into(spool, first, "other")
    put_into(spool, second, "other")

    server = breaking(refuses=KINDS[kind].format(id=first.id))
    assert second.wait(60).state == "done"
    until(lambda: first.id in trouble(spool) and server.hits() >= 3)
    said = server.said()
    server.refuse("")

    assert first.wait(60).state == "done"
    assert said.count("taking over what it left") == 1
    assert said.count(f"{first.id} is left aside") == 1


def test_a_heartbeat_of_an_old_server_that_cannot_be_read_stops_nothing(
    spool: Spool, serve: Serve, breaking: Breaking
) -> None:
    (job,) = queued(spool, serve, 1)
    servers.write_heartbeat(Layout.of(spool.path), {"name": "old", "stopped": True, "updated": "long ago"})

    server = breaking(refuses=r"^(open|read) servers/old\.json")
    assert job.wait(60).state == "done"

    until(lambda: "old.json" in trouble(spool))
    assert server.said().count("old.json") == 1
    assert server.stop() == 0


def test_of_the_waiting_jobs_only_the_broken_one_is_said_to_be_left_aside(
    spool: Spool, serve: Serve, breaking: Breaking
) -> None:
    first, *_, last = queued(spool, serve, 4, config={"simulator": {"batch_s": 30}})

    server = breaking(refuses=KINDS["ticket"].format(id=first.id))
    until(lambda: first.id in trouble(spool))
    reasons = {each["id"]: each["reason"] for each in spool.queue()["queued"]}
    server.kill()

    assert "left aside: cannot read" in reasons[first.id]
    assert "aside" not in reasons[last.id] and "storage trouble" not in reasons[last.id]


def test_a_job_whose_events_cannot_be_written_waits_alone(
    spool: Spool, serve: Serve, breaking: Breaking
) -> None:
    first, second = queued(spool, serve)

    server = breaking(refuses=rf"^(create|write) .*{first.id}/events\.c\d+\.jsonl")
    assert second.wait(60).state == "done"
    until(lambda: first.id in trouble(spool))
    server.refuse("")

    assert first.wait(60).state == "done"
    until(lambda: os.listdir(spool.path / "running" / "lab") == [])


# ---------------------------------------------------------------- taking charge


@pytest.mark.parametrize(
    "refused",
    [
        r"^listdir running/lab$",
        r"^l?stat accepting/lab$",
        r"^(open|read) servers/lab\.json",
        r"^create servers/lab\.lock",
        r"^(listdir|scandir) servers$",
    ],
)
def test_a_standby_survives_trouble_of_the_storage_and_takes_charge_when_it_is_over(
    spool: Spool, serve: Serve, breaking: Breaking, refused: str
) -> None:
    first = serve().ready()

    standby = breaking("--standby", refuses=refused)
    until(lambda: "stands by" in standby.said() or standby.hits())
    first.kill()
    until(lambda: standby.hits() and "Input/output error" in standby.said())
    standby.refuse("")
    job = spool.submit(pi_no_pi(0), check=False, **quick())

    assert job.wait(60).state == "done"
    assert job.status()["server"] == "lab" and standby.process.poll() is None


def test_a_spool_that_is_none_ends_a_standby_at_once(spool: Spool, breaking: Breaking) -> None:
    (spool.path / "spool.yaml").unlink()

    standby = breaking("--standby")

    assert standby.process.wait(60) == 1
    assert "spool.yaml" in standby.said()


# ---------------------------------------------------------------- what counts as an attempt


_FAILING_ONCE = """\
import os
import time
import time
from pathlib import Path

from qtrl_spool.backends.simulator import Simulator
from qtrl_spool.errors import BackendError


class Rig(Simulator):
    failed = False

    def arm(self, plan):
        until = time.monotonic() + 60
        while not Rig.failed and not Path(os.environ["RIG_GO"]).exists() and time.monotonic() < until:
            time.sleep(0.005)
        if not Rig.failed:
            Rig.failed = True
            raise BackendError("no trigger")
        super().arm(plan)
"""


def test_a_retry_is_counted_once_however_often_its_record_cannot_be_written(
    spool: Spool, breaking: Breaking, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    site = str(install_rig(tmp_path / "site", _FAILING_ONCE))
    path = os.pathsep.join([site, os.environ.get("PYTHONPATH", "")])
    server = breaking("--rig", PYTHONPATH=path, RIG_GO=str(go))
    job = spool.submit(pi_no_pi(0), **quick(retries=1))
    until(lambda: job.status()["phase"] == "acquiring")

    server.refuse(rf"^replace .*{job.id}/status\.json$")
    go.touch()
    until(lambda: server.hits() >= 3)
    server.refuse("")

    assert job.wait(60).state == "done" and job.status()["attempt"] == 2
    assert [event["event"] for event in job.log()].count("error") == 1


def test_a_drain_runs_the_job_that_stood_ready_behind_one_that_failed(
    spool: Spool, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    site = str(install_rig(tmp_path / "site", _FAILING_ONCE))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([site, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("RIG_GO", str(go))
    first, second = (spool.submit(pi_no_pi(0), **quick()) for _ in range(2))
    server = serve("--backend", "rig", "--drain")
    until(lambda: first.status()["phase"] == "acquiring")
    since = time.monotonic()

    until(lambda: time.monotonic() > since + 3)  # the queue is looked at again only when its folder changes
    go.touch()

    assert server.process.wait(60) == 0
    assert (first.state, second.state) == ("failed", "done")


def test_a_start_that_could_not_be_synced_is_no_attempt(
    spool: Spool, serve: Serve, breaking: Breaking
) -> None:
    (job,) = queued(spool, serve, 1)

    server = breaking(refuses=rf"^fsync .*{job.id}/events\.c[1-9]\d*\.jsonl$")
    until(lambda: server.hits() >= 3)
    server.refuse("")

    assert job.wait(60).state == "done" and job.status()["attempt"] == 1
    assert [event["event"] for event in job.log()].count("started") == 1


def test_an_edit_that_cannot_be_decided_is_tried_ever_more_rarely_and_keeps_no_other_request(
    spool: Spool, breaking: Breaking
) -> None:
    server = breaking(refuses=r"^rename accepting/lab/edit~.* accepting/lab/edited~")
    job, other = (spool.submit(pi_no_pi(0), **quick(hold=True)) for _ in range(2))
    until(lambda: job.state == other.state == "held")

    requests.send(Layout.of(spool.path), {"edit": job.id, "manifest": {"n_reps": 7}}, "edit.yaml")
    until(lambda: server.hits() >= 1)
    began = time.monotonic()
    until(lambda: server.hits() >= 4)
    took_s = time.monotonic() - began
    cancelled = other.cancel()
    server.refuse("")

    answer = until(lambda: requests.answer(Layout.of(spool.path), "edit.yaml"))
    assert answer["ok"] and job.bundle().manifest.n_reps == 7
    assert took_s > 2.5 and cancelled
