"""Jobs that make way for others between two batches, and go on as if nothing had happened."""

from __future__ import annotations

import numpy as np
import pytest

from qtrl_spool import Job, Spool
from qtrl_spool.experiments import pi_no_pi

from .support import Serve, quick, until


def scan(n_batches: int = 16, batch_s: float = 0.25, **more: object) -> dict[str, object]:
    """Return the options of a long job whose data are reproducible to the bit."""
    simulator = {"batch_s": batch_s, "seed": 7}
    return {"config": {"simulator": simulator}, "n_reps": 6, "n_batches": n_batches, **more}


def measured(job: Job) -> np.ndarray:
    return job.result(60).dataset["iq"].values


def events(job: Job) -> list[str]:
    return [event["event"] for event in job.log()]


def set_up(spool: Spool, line: str) -> None:
    mark = spool.path / "spool.yaml"
    kept = [each for each in mark.read_text().splitlines() if not each.startswith(line.partition(":")[0])]
    mark.write_text("\n".join([*kept, line, ""]))


def cut_into(spool: Spool, job: Job) -> Job:
    """Submit an urgent job while `job` acquires, and wait until it is done."""
    until(lambda: job.status()["progress"]["batch"] >= 2)
    return spool.submit(pi_no_pi(0), priority="urgent", **quick()).wait(60)


# ---------------------------------------------------------------- more urgent


def test_an_urgent_job_cuts_into_a_long_scan_whose_result_is_whole_to_the_bit(
    spool: Spool, serve: Serve
) -> None:
    serve()
    alone = measured(spool.submit(pi_no_pi(0), **scan(batch_s=0.0)))
    long = spool.submit(pi_no_pi(0), **scan())

    urgent = cut_into(spool, long)

    assert not long.done()
    assert np.array_equal(measured(long), alone)
    assert long.status()["attempt"] == 1
    assert [each for each in events(long) if each in {"started", "paused", "resumed"}] == [
        "started",
        "paused",
        "resumed",
    ]
    assert urgent.status()["finished"] < long.status()["finished"]


def test_a_scan_keeps_its_raw_traces_over_a_pause(spool: Spool, serve: Serve) -> None:
    serve()
    raw = {"adc": {"acquisition_settings": {"keep_raw": True}}}
    long = spool.submit(pi_no_pi(0), **scan(config={"simulator": {"batch_s": 0.25}, **raw}))

    cut_into(spool, long)
    result = long.result(60)

    assert "paused" in events(long)
    assert result.dataset.sizes["repetition"] == 96
    assert result.dataset["raw"].sizes["repetition"] == 96


def test_a_paused_job_keeps_the_configuration_that_it_began_with(spool: Spool, serve: Serve) -> None:
    serve()
    long = spool.submit(pi_no_pi(0), **scan())
    cut_into(spool, long)

    spool.config.update({"variables/Q0/amp_180": 0.01}, reason="for later jobs")

    assert long.result(60).dataset.attrs["config_version"] == 1


def test_a_priority_that_may_not_preempt_waits(spool: Spool, serve: Serve) -> None:
    set_up(spool, "priorities: {urgent: {preempt: false}}")
    serve()
    long = spool.submit(pi_no_pi(0), **scan())

    cut_into(spool, long)

    assert long.done()
    assert "paused" not in events(long)


def test_a_state_goes_back_only_from_running_to_paused(spool: Spool, serve: Serve) -> None:
    serve()
    long = spool.submit(pi_no_pi(0), **scan())
    until(lambda: long.status()["progress"]["batch"] >= 1)
    urgent = spool.submit(pi_no_pi(0), priority="urgent", **quick())
    states = ["running"]
    while states[-1] != "done" or not urgent.done():
        state = long.status()["state"]
        states += [state] * (state != states[-1])

    assert states == ["running", "paused", "running", "done"]


@pytest.mark.parametrize("priority", ["normal", "low"])
def test_nobody_overtakes_a_job_that_made_way_however_short_the_urgent_one_is(
    spool: Spool, serve: Serve, priority: str
) -> None:
    serve()
    long = spool.submit(pi_no_pi(0), **scan(n_batches=400))
    later = spool.submit(pi_no_pi(0), priority=priority, **quick())

    cut_into(spool, long)
    until(lambda: "resumed" in events(long) or later.status()["started"])

    assert "paused" in events(long) and later.status()["started"] is None


# ---------------------------------------------------------------- time slices


def test_long_jobs_of_one_priority_take_turns(spool: Spool, serve: Serve) -> None:
    set_up(spool, "slice: 0.4 s")
    serve()
    first, second = (spool.submit(pi_no_pi(0), **scan(n_batches=8)) for _ in range(2))

    both = [measured(each) for each in (first, second)]

    assert np.array_equal(*both)
    assert "paused" in events(first)
    assert second.status()["started"] < first.status()["finished"]


# ---------------------------------------------------------------- a server that ends


@pytest.mark.parametrize("heir", ["lab", "another"])
def test_a_job_whose_server_is_stopped_goes_on_where_it_was(spool: Spool, serve: Serve, heir: str) -> None:
    server = serve()
    alone = measured(spool.submit(pi_no_pi(0), **scan(batch_s=0.0)))
    long = spool.submit(pi_no_pi(0), **scan())
    until(lambda: long.status()["progress"]["batch"] >= 2)

    server.stop()
    paused = long.status()
    serve(name=heir)

    assert paused["state"] == "paused"
    assert np.array_equal(measured(long), alone)
    assert long.status()["attempt"] == 1


def test_a_paused_job_is_cancelled_at_once_and_keeps_what_it_measured(spool: Spool, serve: Serve) -> None:
    server = serve()
    long = spool.submit(pi_no_pi(0), **scan(n_batches=50))
    until(lambda: long.status()["progress"]["batch"] >= 2)
    server.stop()
    serve("--drain")

    long.cancel()

    assert long.wait(60).state == "cancelled"
    assert long.partial().dataset.sizes["repetition"] >= 12


def test_a_job_without_its_partial_result_starts_over(spool: Spool, serve: Serve) -> None:
    server = serve()
    long = spool.submit(pi_no_pi(0), **scan())
    until(lambda: long.status()["progress"]["batch"] >= 2)
    server.stop()
    (long.home / "partial.h5").unlink()

    serve()

    assert measured(long).shape[1] == 96
    assert long.status()["attempt"] == 2
