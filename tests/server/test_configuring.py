"""The default configuration and the jobs that use it, with a real server and the real command."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool import Spool
from qtrl_spool.create import create_spool
from qtrl_spool.experiments import rabi
from qtrl_spool.results import Result

from .support import (
    Serve,
    command,
    until,
)

FREQ = "variables/Q1/freq"
QUICK: dict[str, Any] = {"n_reps": 20, "n_batches": 1}
WITHIN_S = 5.0


def blocker(spool: Spool) -> Any:
    """Return a running job that acquires for a long time."""
    job = spool.submit(rabi(1, 3), {"simulator": {"batch_s": 0.5}}, name="blocker", n_reps=5, n_batches=200)
    until(lambda: job.status()["phase"] == "acquiring")
    return job


def program(path: Path) -> str:
    with Result(path) as result:
        return str(result.attrs["program_sha256"])


# ---------------------------------------------------------------- which version


def test_each_job_uses_the_version_it_asks_for_though_the_default_changes_before_it_runs(
    spool: Spool, serve: Serve
) -> None:
    serve().ready()
    long = blocker(spool)
    jobs = {
        version: spool.submit(rabi(1, 3), name=f"with {version}", config_version=version, **QUICK)
        for version in ("latest", "submitted", 1)
    }
    until(lambda: all(job.status()["accepted"] for job in jobs.values()))
    first = spool.config[FREQ]
    spool.config.update({FREQ: 5.1e9}, reason="recalibrated")
    later = spool.submit(rabi(1, 3), name="submitted later", config_version="submitted", **QUICK)
    until(lambda: later.status()["accepted"])
    spool.config.update({FREQ: 5.2e9}, reason="recalibrated again")
    long.cancel(now=True)

    used = {name: job.result(60) for name, job in {**jobs, "later": later}.items()}

    assert {name: (used_by(each)) for name, each in used.items()} == {
        "latest": (3, 5.2e9),
        "submitted": (1, first),
        1: (1, first),
        "later": (2, 5.1e9),
    }


def used_by(result: Result) -> tuple[int, float]:
    """Return the version of the default that a job used, and its value of `FREQ`."""
    return result.attrs["config_version"], result.config["variables"]["Q1"]["freq"]


def test_a_running_job_keeps_what_it_started_with(spool: Spool, serve: Serve) -> None:
    serve().ready()
    first = spool.config[FREQ]
    job = spool.submit(rabi(1, 3), {"simulator": {"batch_s": 0.4}}, n_reps=5, n_batches=4)
    until(lambda: job.status()["phase"] == "acquiring")

    spool.config.update({FREQ: 5.1e9}, reason="recalibrated")
    result = job.result(60)

    assert used_by(result) == (1, first) and spool.config[FREQ] == 5.1e9


def test_an_update_is_answered_while_a_job_acquires(spool: Spool, serve: Serve) -> None:
    serve().ready()
    blocker(spool)
    took = []
    for n in range(5):
        begin = time.monotonic()
        spool.config.update({FREQ: 5.1e9 + n}, reason="recalibrated")
        took.append(time.monotonic() - begin)
    print("answers took", [f"{each:.3f} s" for each in took])
    assert max(took) < WITHIN_S


# ---------------------------------------------------------------- once more


@pytest.fixture
def other(tmp_path: Path) -> Spool:
    """Return a spool made elsewhere, from another default."""
    from qtrl_spool.shipped import default_config_folder

    folder = tmp_path / "elsewhere" / "config"
    folder.mkdir(parents=True)
    for path in default_config_folder().iterdir():
        text = path.read_text()
        if path.name == "variables.yaml":
            text = text.replace("qubit_LO: 5.15e+9", "qubit_LO: 5.05e+9").replace("0.23842", "0.3")
            text = text.replace("Q3:\n", "Q9:\n  freq: 5.0e+9\n  anharmonicity: -2.0e+8\nQ3:\n")
        (folder / path.name).write_text(text)
    return Spool(create_spool(tmp_path / "elsewhere" / "spool", folder, who="eve").path)


def test_a_job_runs_once_more_to_the_same_program_where_it_ran_though_the_default_changed(
    spool: Spool, serve: Serve
) -> None:
    serve().ready()
    job = spool.submit(rabi(1, 3), {FREQ: 5.1e9}, **QUICK)
    job.wait(60)
    spool.config.update(
        {"variables/common/pulse_length": 5e-8, "variables/hardware/qubit_LO": 5.0e9}, reason="x"
    )

    again = job.again()
    fresh = job.again(config_version="latest")

    assert program(again.result(60).path) == program(job.result().path) != program(fresh.result(60).path)
    assert (again.name, again.status()["config_version"]) == (job.name, 1)


def test_a_result_is_enough_to_run_a_job_once_more_to_the_same_program_on_another_machine(
    spool: Spool, other: Spool, serve: Serve, tmp_path: Path
) -> None:
    job = spool.submit(rabi(1, 3), {FREQ: 5.1e9}, tags=["night"], **QUICK)
    assert command("serve", "--drain", "--spool", spool.path).returncode == 0
    carried = tmp_path / "carried.h5"
    carried.write_bytes(job.result().path.read_bytes())

    said = command("submit", "--like", carried, "--spool", other.path)
    assert command("serve", "--drain", "--spool", other.path).returncode == 0
    again = other.job(said.stdout.strip()).result(0)

    assert again.attrs["program_sha256"] == job.result().attrs["program_sha256"]
    assert again.attrs["tags"] == ["night"] and again.dataset.sizes == job.result().dataset.sizes
    assert other.config["variables/Q9/freq"] == 5.0e9


def test_what_is_set_on_top_moves_what_follows_from_it_on_another_machine_too(
    spool: Spool, other: Spool
) -> None:
    job = spool.submit(rabi(1, 3), {FREQ: 5.1e9}, **QUICK)
    assert command("serve", "--drain", "--spool", spool.path).returncode == 0

    again = other.submit(like=job.result().path, config={FREQ: 5.12e9})

    there, here = again.configuration(), job.configuration()
    assert there["pulses/Q1/180/0/freq"] == pytest.approx(here["pulses/Q1/180/0/freq"] + 0.02e9)
    assert there["variables/hardware/qubit_LO"] == here["variables/hardware/qubit_LO"]
