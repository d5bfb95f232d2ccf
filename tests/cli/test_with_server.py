"""The command against a real server on the simulator."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qtrl_spool import Spool
from tests.server.support import ServerProcess, command, until

from .conftest import Run
from .test_tables import in_a_terminal

Serve = Callable[..., ServerProcess]
PNG = b"\x89PNG"


@pytest.fixture
def served(serve: Serve) -> ServerProcess:
    """Return a running server."""
    return serve().ready()


def test_submit_and_wait_ends_well_when_the_job_is_done(run: Run, shared: Spool, job_file: Path) -> None:
    said = run("submit", job_file, "--wait")
    assert said.status == 0 and run("status", said.out.strip(), "--json").facts["state"] == "done"


def test_waiting_for_several_jobs_says_how_many_are_done(run: Run, shared: Spool, job_file: Path) -> None:
    said = run("submit", job_file, job_file, "--wait")
    assert said.status == 0 and "2 jobs, 2 done" in said.err


def test_the_result_is_summed_up_found_and_drawn(
    run: Run, shared: Spool, job_file: Path, tmp_path: Path
) -> None:
    job_id = run("submit", job_file, "--wait").out.strip()
    picture = tmp_path / "rabi.png"
    path = Path(run("result", job_id, "--path").out.strip())
    summary = run("result", job_id, "--plot", picture).out + run("result", job_id).out
    assert path.name == "result.h5" and str(path) in summary and picture.read_bytes().startswith(PNG)


def test_watch_in_a_pipe_shows_a_job_and_its_data_once(run: Run, shared: Spool, job_file: Path) -> None:
    job_id = run("submit", job_file, "--wait").out.strip()
    shown = run("watch", job_id)
    assert shown.status == 0 and job_id in shown.out and "R1 excited" in shown.out


def test_the_populations_are_printed_as_a_table(run: Run, shared: Spool, job_file: Path) -> None:
    job_id = run("submit", job_file, "--wait").out.strip()
    lines = run("result", job_id, "--csv", "-").out.splitlines()
    assert lines[0].startswith("readout,level,element,") and lines[1].startswith("R1,0,0,")


def test_a_job_is_processed_once_more_with_another_chain(
    run: Run, shared: Spool, job_file: Path, tmp_path: Path
) -> None:
    job_id = run("submit", job_file, "--wait").out.strip()
    said = run("process", job_id, "--set", "adc/processing/10_fitting/enable=false", "--json")
    path = Path(said.facts["path"])
    assert path.name == "result-2.h5" and said.facts["fits"] == {}
    assert run("result", job_id, "--number", 2, "--path").out.strip() == str(path)
    assert run("result", job_id, "--number", 3).status == 3
    told = run("result", path).out
    assert "from result.h5; changed: adc/processing/10_fitting/enable = false" in told
    assert run("result", job_id, "--number", 2).out == told
    assert "processed" not in run("result", job_id).out
    mine = run("process", path, "--current", "--output", tmp_path / "mine.h5", "--json")
    assert mine.facts["path"] == str(tmp_path / "mine.h5") and mine.facts["fits"]
    assert shared.job(job_id).process(output=tmp_path / "other.h5").fits


def test_the_log_tells_the_way_of_the_job(run: Run, shared: Spool, job_file: Path) -> None:
    job_id = run("submit", job_file, "--wait").out.strip()
    events = [each["event"] for each in run("log", job_id, "--json").facts]
    assert events[0] == "accepted" and events[-1] == "committed"


def test_config_show_effective_tells_what_the_job_ran_with(run: Run, shared: Spool, job_file: Path) -> None:
    job_id = run("submit", job_file, "--wait", "--set", "variables/Q1/freq=5.1e9").out.strip()
    assert run("config", "show", "variables/Q1/freq", "--effective", job_id, "--json").facts == 5.1e9


def test_a_job_is_held_moved_released_and_runs(run: Run, shared: Spool, job_file: Path) -> None:
    job_id = run("submit", job_file, "--hold").out.strip()
    until(lambda: run("status", job_id, "--json").facts["state"] == "held")
    said = [run("move", job_id, "low"), run("release", job_id), run("wait", job_id, "--timeout", "30")]
    record = run("status", job_id, "--json").facts
    assert [each.status for each in said] == [0, 0, 0] and (record["state"], record["priority"]) == (
        "done",
        70,
    )


def test_a_cancelled_job_makes_wait_and_result_end_with_1(run: Run, shared: Spool, job_file: Path) -> None:
    job_id = run("submit", job_file, "--hold").out.strip()
    until(lambda: run("status", job_id, "--json").facts["state"] == "held")
    assert run("cancel", job_id).status == 0
    assert (run("wait", job_id).status, run("result", job_id).status) == (1, 1)


@pytest.fixture
def cancelled(run: Run, shared: Spool, job_file: Path) -> str:
    """Return the id of a job that was cancelled before it ran."""
    job_id = run("submit", job_file, "--hold").out.strip()
    until(lambda: run("status", job_id, "--json").facts["state"] == "held")
    run("cancel", job_id)
    return job_id


def test_waiting_for_a_cancelled_job_says_so_once(run: Run, cancelled: str) -> None:
    assert run("wait", cancelled).err.count(cancelled) == 1


def test_the_result_of_a_cancelled_job_hints_at_the_partial_one_that_there_is(
    run: Run, shared: Spool, cancelled: str
) -> None:
    without = run("result", cancelled)
    (shared.job(cancelled).home / "partial.h5").touch()
    assert (
        "--partial" not in without.err and "--partial shows what was acquired" in run("result", cancelled).err
    )


def test_a_refused_request_is_a_document_where_json_is_asked_for(run: Run, cancelled: str) -> None:
    said = run("hold", cancelled, "--json")
    assert said.status == 1 and said.facts["error"]["message"] and said.facts["jobs"][0]["id"] == cancelled


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [("rabi.txt", 2, "no picture"), ("nowhere/rabi.png", 3, "there is no folder")],
)
def test_a_picture_that_cannot_be_written_is_refused(
    run: Run, shared: Spool, job_file: Path, tmp_path: Path, name: str, status: int, words: str
) -> None:
    job_id = run("submit", job_file, "--wait").out.strip()
    said = run("result", job_id, "--plot", tmp_path / name)
    assert said.status == status and words in said.err


def test_drawing_without_a_home_says_nothing_of_the_cache(
    run: Run, shared: Spool, job_file: Path, tmp_path: Path
) -> None:
    job_id = run("submit", job_file, "--wait").out.strip()
    (tmp_path / "file").touch()
    nowhere = {"HOME": str(tmp_path / "file"), "XDG_CONFIG_HOME": str(tmp_path / "file")}
    environment = {**os.environ, **nowhere, "XDG_CACHE_HOME": str(tmp_path / "file")}
    said = command("result", job_id, "--plot", tmp_path / "rabi.png", env=environment)
    assert (said.returncode, said.stderr) == (0, f"drew {tmp_path / 'rabi.png'}\n")


def test_what_has_ended_cannot_be_cancelled(run: Run, shared: Spool, job_file: Path) -> None:
    job_id = run("submit", job_file, "--wait").out.strip()
    said = run("cancel", job_id)
    assert said.status == 1 and "done already" in said.err


def test_a_rejected_drop_says_why_by_its_status(run: Run, shared: Spool, misspelt: Path) -> None:
    shutil.copy(misspelt, shared.path / "incoming" / "50-normal")
    (record,) = until(lambda: run("jobs", "--state", "rejected", "--json").facts)
    assert "Q1/X181" in run("status", record["id"]).out


def test_the_configuration_is_set_compared_and_rolled_back(
    run: Run, served: ServerProcess, spool: Spool
) -> None:
    before = spool.config["variables/Q1/freq"]
    assert run("config", "set", "variables/Q1/freq=5.1e9", "-m", "recalibrated").status == 0
    assert "variables/Q1/freq" in run("config", "diff", "1", "2").out
    assert run("config", "rollback", "1", "-m", "no better").status == 0
    assert spool.config["variables/Q1/freq"] == before


def test_a_setting_that_has_its_value_already_makes_no_version(
    run: Run, served: ServerProcess, spool: Spool
) -> None:
    value = spool.config["variables/Q1/freq"]
    said = run("config", "set", f"variables/Q1/freq={value!r}", "-m", "as it is", "--json")
    assert said.facts["version"] == 1 and "nothing changes" in said.err


def test_a_frequency_that_was_meant_in_gigahertz_is_set_with_a_warning(
    run: Run, served: ServerProcess
) -> None:
    said = run("config", "set", "variables/Q1/freq=5.1", "-m", "recalibrated")
    assert said.status == 0
    assert "warning: pulses/Q1/" in said.err and "beyond the sample rate" in said.err
    assert "warning" not in run("config", "set", "variables/Q1/freq=5.1 GHz", "-m", "mended").err


def test_a_refused_update_ends_with_1_and_names_the_nearest_key(run: Run, shared: Spool) -> None:
    said = run("config", "set", "variables/Q1/frq=5.1e9", "-m", "typo")
    assert said.status == 1 and "freq" in said.err


def test_a_patch_file_with_marks_is_applied(
    run: Run, served: ServerProcess, spool: Spool, tmp_path: Path
) -> None:
    patch = tmp_path / "patch.yaml"
    patch.write_text("variables: {Q1: {spare: !new 3.5}}\n")
    said = run("config", "apply", patch, "-m", "a new variable")
    assert said.status == 0 and spool.config["variables/Q1/spare"] == 3.5


def test_an_update_for_an_older_version_is_a_conflict(run: Run, served: ServerProcess) -> None:
    run("config", "set", "variables/Q1/freq=5.1e9", "-m", "first")
    said = run("config", "set", "variables/Q1/freq=5.2e9", "-m", "second", "--base", "1")
    assert said.status == 1 and "first" in said.err


def test_a_second_server_of_the_name_is_refused_with_its_holder(
    run: Run, shared: Spool, lab: ServerProcess
) -> None:
    said = command("serve", "--name", lab.name, "--spool", shared.path)
    assert said.returncode == 1 and f"process {lab.process.pid}" in said.stderr


def test_a_server_ends_well_when_it_is_told_to(served: ServerProcess) -> None:
    assert served.stop() == 0 and "has ended" in served.said()


def test_an_unknown_backend_is_refused(run: Run, spool: Spool) -> None:
    said = run("serve", "--backend", "simulater")
    assert said.status == 2 and "did you mean 'simulator'" in said.err


def test_a_server_drains_the_queue_and_ends(run: Run, spool: Spool, job_file: Path) -> None:
    job_id = run("submit", job_file).out.strip()
    said = command("serve", "--drain", "--spool", spool.path)
    assert said.returncode == 0 and spool.job(job_id).state == "done"


def test_serving_a_fresh_checkout_makes_its_spool_in_place(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "README.md").write_text("# A spool\n")
    said = command("serve", "--drain", cwd=tmp_path, env=_environment())
    assert said.returncode == 0 and Spool(tmp_path / "spool").config.log()


def _environment() -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": root, "QTRL_SPOOL": "spool"}


def test_an_interrupt_ends_waiting_with_130_and_the_job_stays(run: Run, spool: Spool, job_file: Path) -> None:
    job_id = run("submit", job_file).out.strip()
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        assert run("wait", job_id).status == 130
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert spool.job(job_id).state == "queued"


def test_the_demo_shows_results_draws_one_and_leaves_no_server(tmp_path: Path) -> None:
    begin = time.monotonic()
    said = command("demo", tmp_path / "demo")
    took = time.monotonic() - begin
    spool = Spool(tmp_path / "demo" / "spool")
    assert said.returncode == 0, said.stderr
    assert [job.state for job in spool.jobs()] == ["done"] * 3
    assert Path(said.stdout.strip()).read_bytes().startswith(PNG)
    assert _pasted(said.stderr, tmp_path).returncode == 0
    assert all(server["stopped"] for server in spool.queue()["servers"])
    assert took < 60
    again = command("demo", tmp_path / "demo")
    assert again.returncode == 1 and "name another DIR, or remove that one" in again.stderr


def test_the_demo_shows_its_table_in_a_terminal_without_raw_escapes(tmp_path: Path) -> None:
    shown = in_a_terminal("demo", str(tmp_path / "demo"), columns=80, stderr=True)
    (headings,) = [line for line in shown.splitlines() if "PLACE" in line and "STATE" in line]
    assert headings.startswith("\x1b[1m") and "\\x1b" not in shown


def _pasted(said: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Paste the command that the demo names into a shell in another directory."""
    (line,) = [line for line in said.splitlines() if "Look around: " in line]
    words = ["sh", "-c", line.partition("Look around: ")[2]]
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        words, cwd=folder, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=False
    )
