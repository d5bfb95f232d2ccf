"""What is told of jobs that go no further because a server died, or because its storage fails it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from qtrl_spool import Job, Spool
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.job import utc
from qtrl_spool.spool.layout import Layout

from .support import Serve, command, quick, slow, until


def started(spool: Spool) -> Job:
    job = spool.submit(pi_no_pi(0), **slow())
    until(lambda: job.status()["progress"].get("batch"))
    return job


def test_a_job_whose_server_was_killed_says_so_at_once(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = started(spool)
    server.kill()

    record = job.status()

    why = "its server lab died; it goes on when a server is started"
    assert (record["state"], record["reason"], record["eta_finish"]) == ("running", why, None)
    assert [each["reason"] for each in spool.queue()["running"]] == [why]
    assert [each["state"] for each in spool.queue()["running"]] == ["running"]


def test_the_commands_say_that_the_server_of_a_job_was_killed(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = started(spool)
    server.kill()

    for verb in (["status", job.id], ["watch", job.id], ["queue"]):
        assert "its server lab died" in command(*verb, "--spool", spool.path).stdout.replace("\n", " ")


def test_a_job_goes_on_when_its_server_is_started_again(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = started(spool)
    server.kill()
    assert job.status()["reason"]
    serve()

    record = until(lambda: (found := job.status())["progress"].get("elapsed_s") is not None and found)

    assert (record["state"], record["reason"]) == ("running", None)


def test_a_job_whose_server_on_another_host_is_silent_says_since_when(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = started(spool)
    server.kill()
    path = Layout.of(spool.path).heartbeat("lab")
    silent = utc(datetime.now(UTC) - timedelta(seconds=61))
    path.write_text(json.dumps({**json.loads(path.read_text()), "host": "elsewhere", "updated": silent}))

    assert str(job.status()["reason"]).startswith(f"its server lab does not answer since {silent[:10]} ")


def test_another_server_is_said_to_take_over(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = started(spool)
    serve(name="other").ready()
    server.kill()

    assert job.status()["reason"] == "its server lab died; another one takes it over soon"


def test_a_job_that_waits_says_that_the_storage_fails_its_server(spool: Spool, serve: Serve) -> None:
    serve()
    started(spool)
    waits = spool.submit(pi_no_pi(0), **quick())
    until(lambda: waits.place)
    room = Layout.of(spool.path).accepting_by("lab")
    room.rename(room.with_name("away"))
    room.symlink_to(room.with_name("nowhere") / "lab")

    said = until(lambda: str(waits.status()["reason"]).startswith("storage trouble: ") and waits.status())
    told = until(lambda: [each for each in snapshot(spool)["queued"] if "storage" in each["reason"]])
    room.unlink()

    assert (said["state"], said["place"]) == ("queued", 1)
    assert [each["id"] for each in told] == [waits.id]
    assert until(lambda: waits.status()["reason"] == "next, after the running job")


def snapshot(spool: Spool) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = json.loads(Layout.of(spool.path).snapshot.read_text())
    return found
