"""Places, order, steering, retries and readers, with a real server process."""

from __future__ import annotations

import json
import time
from pathlib import Path

import h5py
import pytest

from qtrl_spool import Spool
from qtrl_spool.errors import (
    JobCancelledError,
    NotFoundError,
    UsageError,
)
from qtrl_spool.experiments import pi_no_pi, t1

from .support import (
    Serve,
    quick,
    slow,
    until,
)

# ---------------------------------------------------------------- queue, order, steering


def test_jobs_run_by_priority_then_by_order_of_acceptance(spool: Spool, serve: Serve) -> None:
    jobs = [
        spool.submit(pi_no_pi(0), priority=priority, name=f"{priority}{n}", **quick())
        for n in (1, 2)
        for priority in ("low", "normal", "urgent")
    ]

    server = serve("--drain")
    server.process.wait(60)
    started = sorted(jobs, key=lambda job: job.status()["started"])

    assert [job.name for job in started] == ["urgent1", "urgent2", "normal1", "normal2", "low1", "low2"]


def test_a_waiting_job_knows_its_place_and_why_it_waits(spool: Spool, serve: Serve) -> None:
    serve()
    running = spool.submit(pi_no_pi(0), **slow())
    until(running.running)
    first, second = (spool.submit(pi_no_pi(0), **quick()) for _ in range(2))
    until(lambda: second.place == 2)

    status = second.status()

    assert (first.place, status["place"], status["ahead"]) == (1, 2, 1)
    assert (first.status()["reason"], status["reason"]) == (
        "next, after the running job",
        f"waiting for 1 job (of {status['user']})",
    )
    assert [job["id"] for job in spool.queue()["queued"]] == [first.id, second.id]
    until(lambda: json.loads((spool.path / "queue.json").read_text())["queued"] == spool.queue()["queued"])


def test_a_queued_job_is_cancelled_at_once(spool: Spool, serve: Serve) -> None:
    serve()
    running, waiting = spool.submit(pi_no_pi(0), **slow()), spool.submit(pi_no_pi(0), **quick())
    until(running.running)

    assert waiting.cancel()

    assert waiting.cancelled()
    with pytest.raises(JobCancelledError):
        waiting.result(5)
    assert running.running()


def test_a_running_job_is_cancelled_after_its_batch_and_keeps_its_partial_data(
    spool: Spool, serve: Serve
) -> None:
    serve()
    job = spool.submit(pi_no_pi(0), **slow())
    until(lambda: job.status()["progress"]["batch"] >= 2)

    job.cancel()
    job.wait(30)

    assert job.state == "cancelled"
    n_repetitions = job.partial().dataset.sizes["repetition"]
    assert n_repetitions >= 20 and n_repetitions % 10 == 0


def test_cancel_now_gives_up_a_long_batch(spool: Spool, serve: Serve) -> None:
    serve()
    job = spool.submit(pi_no_pi(0), **slow(batch_s=600))
    until(lambda: job.status()["phase"] == "acquiring")

    job.cancel(now=True)

    assert job.wait(20).cancelled()


def test_a_held_job_waits_for_its_release(spool: Spool, serve: Serve) -> None:
    serve()
    job = spool.submit(pi_no_pi(0), **quick(hold=True))
    until(lambda: job.state == "held")
    other = spool.submit(pi_no_pi(0), **quick())
    other.wait(60)
    assert job.state == "held"

    job.release()

    assert job.wait(60).state == "done"


def test_a_moved_job_overtakes_others(spool: Spool, serve: Serve) -> None:
    serve()
    running = spool.submit(pi_no_pi(0), **slow())
    until(running.running)
    first, second = (spool.submit(pi_no_pi(0), **quick()) for _ in range(2))
    until(lambda: second.place == 2)

    second.move("urgent")

    assert (second.place, first.place) == (1, 2)


def test_a_ticket_moved_by_hand_has_its_new_priority(spool: Spool, serve: Serve) -> None:
    serve()
    running = spool.submit(pi_no_pi(0), **slow())
    until(running.running)
    first, second = (spool.submit(pi_no_pi(0), **quick()) for _ in range(2))
    until(lambda: second.place == 2)

    ticket = next((spool.path / "queue" / "50-normal").glob(f"*{second.id}*"))
    ticket.rename(spool.path / "queue" / "10-urgent" / ticket.name)

    assert (second.place, first.place) == (1, 2)
    assert second.status()["priority"] == 10


def test_requests_are_answered_while_a_batch_blocks(spool: Spool, serve: Serve) -> None:
    serve()
    running = spool.submit(pi_no_pi(0), **slow(batch_s=60))
    until(running.running)
    job = spool.submit(pi_no_pi(0), **quick())

    began = time.monotonic()
    job.hold()

    assert job.state == "held"
    assert time.monotonic() - began < 10


def test_a_request_that_makes_no_sense_is_answered_with_a_reason(spool: Spool, serve: Serve) -> None:
    serve().ready()

    with pytest.raises(UsageError, match="cancel, hold, release"):
        spool.ask({"destroy": "everything"})
    with pytest.raises(NotFoundError, match="no job"):
        spool.ask({"cancel": "20261123-101530-rabi-k3f9x"})


# ---------------------------------------------------------------- retries of a submission


def test_a_submission_repeated_under_its_id_is_one_job(spool: Spool, serve: Serve) -> None:
    bundle = spool.bundle(pi_no_pi(0), **quick())
    job = spool.drop(bundle)
    server = serve()
    job.wait(60)

    spool.drop(bundle, job_id=job.id)
    until(lambda: "dropped again" in server.said())

    assert [each.id for each in spool.jobs()] == [job.id]
    assert [event["event"] for event in job.log()].count("started") == 1


def test_another_drop_under_a_taken_id_gets_an_id_of_its_own(spool: Spool, serve: Serve) -> None:
    serve()
    job = spool.submit(pi_no_pi(0), **quick())
    job.wait(60)

    spool.drop(spool.bundle(t1(0, 3), **quick()), job_id=job.id)

    assert until(lambda: len(spool.jobs(state="done")) == 2)


# ---------------------------------------------------------------- readers


def test_status_never_misses_a_job_nor_meets_half_a_file_while_it_is_polled_as_fast_as_can_be(
    spool: Spool, serve: Serve
) -> None:
    serve().ready()
    job = spool.submit(pi_no_pi(0), {"simulator": {"batch_s": 0.02}}, n_reps=10, n_batches=8)
    states: list[str] = []

    def read_all() -> None:
        for path in (job.home / "status.json", spool.path / "queue.json"):
            if path.exists():
                json.loads(path.read_text())
        for name in ("partial.h5", "result.h5"):
            if (job.home / name).exists():
                with OpenOrNone(job.home / name) as file:
                    assert file is None or file["iq"].shape[0] == 1

    end = time.monotonic() + 60
    while not states or states[-1] != "done":
        assert time.monotonic() < end
        states.append(job.status()["state"])
        read_all()

    order = ["queued", "running", "done"]
    assert [state for n, state in enumerate(states) if n == 0 or states[n - 1] != state] == order


class OpenOrNone:
    """Open an HDF5 file that may be replaced or removed meanwhile."""

    def __init__(self, path: Path) -> None:
        try:
            self.file = h5py.File(path)
        except FileNotFoundError:
            self.file = None

    def __enter__(self) -> h5py.File | None:
        return self.file

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()


def test_every_status_has_all_the_keys_of_the_contract_in_every_state(spool: Spool, serve: Serve) -> None:
    keys = {
        *("format", "id", "name", "user", "state", "priority", "place", "ahead", "reason", "eta_start"),
        *("eta_finish", "phase", "progress", "submitted", "accepted", "started", "finished", "updated"),
        *("server", "attempt", "config_version", "result", "error"),
    }
    job = spool.submit(pi_no_pi(0), **quick())
    seen = {job.state: job.status()}
    serve()

    def look() -> bool:
        status = job.status()
        seen[status["state"]] = status
        return status["state"] == "done"

    until(look)

    assert set(seen) >= {"queued", "done"}
    assert [state for state, status in seen.items() if not keys <= set(status)] == []


def test_a_job_is_named_by_any_part_of_its_id_that_is_unambiguous(spool: Spool) -> None:
    job = spool.submit(pi_no_pi(0), **quick())

    assert spool.job(job.id[-5:]).id == job.id
    with pytest.raises(NotFoundError):
        spool.job("nonexistent")
