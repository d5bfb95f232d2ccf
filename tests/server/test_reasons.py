"""What is told of jobs that go no further because a server died, or because its storage fails it."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta

import pytest

from qtrl_spool import Job, Spool
from qtrl_spool.errors import WaitTimeoutError
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.host import is_frozen
from qtrl_spool.job import utc
from qtrl_spool.spool.layout import Layout

from .support import Serve, ServerProcess, command, quick, slow, until


def started(spool: Spool) -> Job:
    job = spool.submit(pi_no_pi(0), **slow())
    until(lambda: job.status()["progress"].get("batch"))
    return job


def freeze(server: ServerProcess) -> None:
    """Stop a server, and wait until all of it stands: it may be in the midst of a write."""
    server.process.send_signal(signal.SIGSTOP)
    until(lambda: is_frozen(server.process.pid))


def test_a_job_whose_server_was_killed_says_so_at_once(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = started(spool)
    server.kill()

    record = job.status()

    why = "its server lab died; it runs again from its first batch when a server is started"
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


def beating(spool: Spool, seconds_ago: float, **more: object) -> str:
    """Let the server lab have said something so long ago, and nothing since; return when."""
    path = Layout.of(spool.path).heartbeat("lab")
    said = utc(datetime.now(UTC) - timedelta(seconds=seconds_ago))
    path.write_text(json.dumps({**json.loads(path.read_text()), **more, "updated": said}))
    return said


def test_of_a_frozen_server_no_time_is_told_but_that_it_is_not_heard_of(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = started(spool)
    until(lambda: job.status()["progress"].get("remaining_s"))
    freeze(server)
    beating(spool, 16)

    record = job.status()

    assert "has not been heard of since" in record["reason"]
    assert f"kill -CONT {server.process.pid}" in record["reason"]
    assert record["eta_finish"] is None and "remaining_s" not in record["progress"]
    for verb in (["status", job.id], ["queue"]):
        told = command(*verb, "--spool", spool.path).stdout
        assert "has not been heard of since" in told and " left" not in told


def test_what_waits_behind_a_frozen_server_is_not_foretold(spool: Spool, serve: Serve) -> None:
    server = serve()
    started(spool)
    waits = spool.submit(pi_no_pi(0), **quick())
    until(lambda: waits.status()["eta_start"])
    freeze(server)
    beating(spool, 16)

    assert waits.status()["eta_start"] is None


def test_a_server_of_another_host_may_be_silent_for_as_long_as_a_share_keeps_what_it_has_read(
    spool: Spool, serve: Serve
) -> None:
    server = serve()
    job = started(spool)
    until(lambda: job.status()["progress"].get("remaining_s"))
    freeze(server)
    beating(spool, 25, host="elsewhere")
    assert job.status()["reason"] is None

    beating(spool, 35, host="elsewhere")
    assert "has not been heard of since" in job.status()["reason"]


def test_an_end_that_should_have_been_long_ago_is_told_no_more(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = started(spool)
    until(lambda: job.status()["progress"].get("remaining_s"))
    freeze(server)
    path = Layout.of(spool.path).snapshot
    told = json.loads(path.read_text())
    past = utc(datetime.now(UTC) - timedelta(seconds=10))
    running = [{**each, "eta_finish": past} for each in told["running"]]
    path.write_text(json.dumps({**told, "running": running}))

    assert job.status()["eta_finish"] is None


def test_waiting_in_a_pipe_says_once_that_the_server_died(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = started(spool)
    server.kill()
    said: list[str] = []

    with pytest.raises(WaitTimeoutError):
        job.wait(1.2, progress=False, tell=said.append)

    why = "its server lab died; it runs again from its first batch when a server is started"
    assert said == [f"job {job.id} is running: {why}"]


def test_the_command_that_waits_in_a_pipe_says_why_it_goes_no_further(spool: Spool) -> None:
    job = spool.submit(pi_no_pi(0), **quick())

    said = command("wait", job.id, "--timeout", 1, "--spool", spool.path).stderr

    assert said.count(f"job {job.id} is queued: no server is running\n") == 1


def test_another_server_is_said_to_take_over(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = started(spool)
    serve(name="other").ready()
    server.kill()

    assert job.status()["reason"] == (
        "its server lab died; it runs again from its first batch soon, by another one"
    )


def test_a_job_that_waits_says_that_the_storage_fails_its_server(spool: Spool, serve: Serve) -> None:
    serve()
    started(spool)
    waits = spool.submit(pi_no_pi(0), **quick())
    until(lambda: waits.place)
    room = Layout.of(spool.path).accepting_by("lab")
    room.rename(room.with_name("away"))
    room.symlink_to(room.with_name("nowhere") / "lab")
    spool.submit(pi_no_pi(0), **quick())  # cannot be taken there

    said = until(lambda: str(waits.status()["reason"]).startswith("storage trouble: ") and waits.status())
    told = until(lambda: [each for each in snapshot(spool)["queued"] if "storage" in each["reason"]])
    room.unlink()

    assert (said["state"], said["place"]) == ("queued", 1)
    assert [each["id"] for each in told] == [waits.id]
    assert until(lambda: waits.status()["reason"] == "next, after the running job")


def snapshot(spool: Spool) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = json.loads(Layout.of(spool.path).snapshot.read_text())
    return found
