"""When jobs will start, told by a real server, and what it keeps of what it learnt."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from qtrl_spool import Spool
from qtrl_spool.errors import UsageError
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.server.experience import Experience
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.servers import check_name, heartbeats

from .support import Serve, quick, slow, until

TIMES = ("eta_start", "eta_start_low", "eta_start_high", "eta_finish", "eta_finish_low", "eta_finish_high")


def seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def told(spool: Spool, section: str) -> dict[str, Any] | None:
    found = spool.queue()[section]
    return found[0] if found and found[0]["eta_finish"] else None


def test_a_waiting_job_is_told_when_it_starts_and_ends_with_an_interval(spool: Spool, serve: Serve) -> None:
    serve()
    running = spool.submit(pi_no_pi(0), **slow(batch_s=0.3, n_batches=40))
    until(lambda: running.status()["progress"]["batch"] >= 4)
    spool.submit(pi_no_pi(0), **slow(batch_s=0.3, n_batches=4))

    record = until(lambda: told(spool, "queued"))
    low, middle, high = (seconds(record[key]) for key in ("eta_start_low", "eta_start", "eta_start_high"))
    ends = seconds(until(lambda: told(spool, "running"))["eta_finish"])

    assert low <= middle <= high
    assert seconds(record["eta_finish"]) >= middle
    assert abs(ends - middle) < 5
    assert abs(middle - seconds(running.status()["started"]) - 12) < 6


def test_a_running_job_tells_for_how_long_it_runs_and_what_is_left(spool: Spool, serve: Serve) -> None:
    serve()
    running = spool.submit(pi_no_pi(0), **slow(batch_s=0.2, n_batches=40))
    until(lambda: running.status()["progress"].get("remaining_s"))

    progress = running.status()["progress"]

    assert progress["elapsed_s"] >= 0 and 0 <= progress["remaining_s"] < 30


def test_a_running_job_tells_what_is_left_while_the_queue_is_paused(spool: Spool, serve: Serve) -> None:
    serve()
    job = spool.submit(pi_no_pi(0), **slow())
    waits = spool.submit(pi_no_pi(0), **quick())
    until(lambda: job.status()["progress"].get("remaining_s") and waits.status()["eta_start"])

    spool.pause("fridge warm")
    until(lambda: waits.status()["eta_start"] is None)

    assert job.status()["progress"].get("remaining_s")


def test_what_was_learnt_survives_a_restart(spool: Spool, serve: Serve) -> None:
    server = serve()
    for _ in range(2):
        spool.submit(pi_no_pi(0), **slow(batch_s=0.1, n_batches=3)).wait(60)
    server.stop()

    layout = Layout.of(spool.path)
    assert Experience(layout, "lab").learnt.to_dict()["tallies"]
    assert json.loads(layout.timings("lab").read_text())["format"] == "qtrl-timings/1"
    assert [beat["name"] for beat in heartbeats(layout)] == ["lab"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": "qtrl-timings/1", "tallies": {"batch:": [1e308, "x"]}}']
)
def test_a_spoilt_file_of_timings_hurts_nobody(spool: Spool, serve: Serve, text: str) -> None:
    Layout.of(spool.path).timings("lab").write_text(text)
    serve()

    assert spool.submit(pi_no_pi(0), **quick()).wait(60).state == "done"


def test_with_the_server_stopped_places_are_told_and_nothing_is_foretold(spool: Spool, serve: Serve) -> None:
    server = serve()
    running = spool.submit(pi_no_pi(0), **slow())
    until(running.running)
    waiting = spool.submit(pi_no_pi(0), **quick())
    until(lambda: waiting.status()["eta_start"])
    server.kill()
    until(lambda: spool.queue()["as_of"])

    record = waiting.status()

    assert (record["place"], record["reason"]) == (1, "no server is running")
    assert [key for key in TIMES if record[key] is not None] == []
    assert running.status()["eta_finish"] is None


def test_no_server_is_named_like_a_file_of_timings() -> None:
    with pytest.raises(UsageError, match="cannot be named"):
        check_name("lab.timings")
