"""The default configuration by the command, with a real server: found values, conflicts, edits, policies."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qtrl_spool import SequenceWrapper, Spool
from qtrl_spool.experiments import rabi
from qtrl_spool.experiments.readout import add_readout
from tests.server.support import ServerProcess, until

from .conftest import Run

Serve = Callable[..., ServerProcess]
FREQ = "variables/Q1/freq"


@pytest.fixture
def served(serve: Serve) -> ServerProcess:
    """Return a running server."""
    return serve().ready()


def amplitude_rabi(folder: Path) -> Path:
    """Return a job that sweeps the amplitude of Q1's pi pulse."""
    amplitudes = np.linspace(0, 0.6, 31)
    x_axis = {"name": "amplitude of X180", "unit": "", "values": amplitudes.tolist()}
    seq = SequenceWrapper(31, x_axis=x_axis)
    _, end = seq.sweep("Q1/X180", element=range(31), start_delay=1e-8, kwargs={"amplitude": amplitudes})
    add_readout(seq, end, 1)
    path = folder / "amplitude.json"
    path.write_text(json.dumps({**seq.to_dict(), "name": "amplitude rabi", "job": {"n_reps": 300}}))
    return path


def test_what_a_job_found_becomes_the_default_with_the_job_in_the_log(
    run: Run, served: ServerProcess, spool: Spool, tmp_path: Path
) -> None:
    job_id = run("submit", amplitude_rabi(tmp_path), "--wait").out.strip()
    true = spool.config["variables/Q1/amp_180"]
    run("config", "set", "variables/Q1/amp_180=0.1", "-m", "somebody spoilt it")

    said = run("config", "apply", "--from", job_id, "variables/Q1/amp_180=fit.pi_amplitude", "-m", "rabi")

    found = run("result", job_id, "--json").facts["fitted"]["R1"]["pi_amplitude"]
    assert said.status == 0 and "variables/Q1/amp_180: 0.1 → 0.2" in said.err
    assert spool.config["variables/Q1/amp_180"] == found["value"] == pytest.approx(true, rel=0.05)
    assert spool.config.log()[-1]["job"] == job_id and job_id in run("config", "log").out
    assert f"found by job {job_id}" in run("config", "show", "variables/Q1/amp_180", "--why").out


def test_a_quantity_that_the_job_did_not_find_is_refused_with_those_it_found(
    run: Run, shared: Spool, tmp_path: Path
) -> None:
    (tmp_path / "rabi.json").write_text(json.dumps({**rabi(1, 41, 5e-9).to_dict(), "job": {"n_reps": 200}}))
    job_id = run("submit", tmp_path / "rabi.json", "--wait").out.strip()
    before = shared.config.current().version
    said = run("config", "apply", "--from", job_id, "variables/Q1/amp_180=fit.pi_amplitude", "-m", "x")
    assert said.status == 3 and "fit.pi_width" in said.err and shared.config.current().version == before


def test_apply_takes_one_file_or_a_job(run: Run, shared: Spool) -> None:
    assert run("config", "apply", "a.yaml", "b.yaml", "-m", "x").status == 2


def test_a_wrong_value_in_a_patch_file_is_refused_with_its_line_and_a_caret(
    run: Run, shared: Spool, tmp_path: Path
) -> None:
    patch = tmp_path / "patch.yaml"
    patch.write_text("variables:\n  Q1: {frq: 5.1e9}\ndac: {clock_delay: fast}\n")
    said = run("config", "apply", patch, "-m", "x")
    assert said.status == 1
    assert "patch.yaml:2:8: variables/Q1/frq" in said.err and "         ^" in said.err


def test_a_request_that_is_refused_names_the_path_and_not_the_servers_copy_of_it(
    shared: Spool, lab: ServerProcess
) -> None:
    text = f"{{config: {{{FREQ}: fast, dac: {{clock_delay: no}}}}, reason: typo}}\n"
    (shared.path / "requests" / ".mine.tmp").write_text(text)
    (shared.path / "requests" / ".mine.tmp").rename(shared.path / "requests" / "mine.yaml")
    answered = shared.path / "requests" / "answered" / "mine.yaml"
    until(lambda: "answer" in (answered.read_text() if answered.exists() else ""))
    from qtrl_spool.config import parse_yaml

    answer = parse_yaml(answered.read_text(), "mine.yaml")["answer"]
    assert answer["error"]["where"] == "dac/clock_delay" and answer["problems"][1].startswith(f"{FREQ}: ")
    assert "request~" not in answered.read_text()


@pytest.mark.parametrize(
    "text",
    [
        "{config: [1], reason: x}",
        "{config: {variables/Q1/freq: 5e9}}",
        "{config: {variables/Q1/freq: 5e9}, base: one, reason: x}",
        "{rollback: first, reason: x}",
        "{config: {variables/Q1/freq: 5e9}, reason: x, job: k3f9x}",
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_the_remedy(shared: Spool, text: str) -> None:
    from qtrl_spool.config import parse_yaml
    from qtrl_spool.errors import UsageError

    before = shared.config.current().version
    with pytest.raises(UsageError) as caught:
        shared.ask(parse_yaml(text, "request"))
    assert caught.value.hint and shared.config.current().version == before


# ---------------------------------------------------------------- people


def edit(spool: Spool, old: str, new: str) -> None:
    path = spool.path / "config" / "current" / "variables.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def test_an_edit_by_hand_becomes_a_version_of_its_owner(
    run: Run, served: ServerProcess, spool: Spool
) -> None:
    edit(spool, "0.23842 ", "0.24    ")
    until(lambda: spool.config["variables/Q1/amp_180"] == 0.24)
    entry = run("config", "log", "--json").facts[-1]
    assert (entry["version"], entry["uid"], entry["why"]) == (
        2,
        os.getuid(),
        "edited by hand: variables.yaml",
    )
    assert entry["changes"] == [{"path": "variables/Q1/amp_180", "old": 0.23842, "new": 0.24}]


def test_a_bad_edit_is_told_everywhere_and_the_last_good_version_stays(
    run: Run, served: ServerProcess, spool: Spool, job_file: Path
) -> None:
    edit(spool, "qubit_LO: 5.15e+9", "qubit_LO: fast   ")
    what = "variables.yaml:9:13: variables/hardware/qubit_LO: expected hertz, got 'fast'"
    until(lambda: any(what in (beat["config_refused"] or "") for beat in spool.queue()["servers"]))

    queue, facts, doctor = run("queue"), run("queue", "--json").facts, run("doctor")
    log, refused = run("config", "log").out, run("config", "log", "--json").facts[-1]

    assert what in queue.err and "does not count" in queue.err
    assert what in facts["servers"][0]["config_refused"]
    assert doctor.status == 1 and what in doctor.out
    assert "refused" in log and what in refused["refused"] and refused["version"] is None
    assert what in served.said()
    assert run("submit", job_file, "--wait").status == 0
    edit(spool, "qubit_LO: fast   ", "qubit_LO: 5.16e+9")
    until(lambda: spool.config["variables/hardware/qubit_LO"] == 5.16e9)
    assert until(lambda: "does not count" not in run("queue").err)


def test_the_policy_refuses_a_stranger_and_says_why(run: Run, spool: Spool, serve: Serve) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root to act as another user")
    mark = spool.path / "spool.yaml"
    mark.write_text(mark.read_text().replace("policy: {} ", "policy: {variables/hardware: {users: [ada]}} "))
    serve().ready()
    path = spool.path / "requests" / "stranger.yaml"
    draft = path.with_name(".stranger.tmp")
    draft.write_text("{config: {variables/hardware/qubit_LO: 5.0e9}, reason: mine}\n")
    os.chown(draft, 12003, 12003)
    draft.rename(path)
    answered = spool.path / "requests" / "answered" / "stranger.yaml"
    until(answered.exists)
    assert "may not change it: variables/hardware is for user ada" in answered.read_text()
    edit(spool, "qubit_LO: 5.15e+9", "qubit_LO: 5.16e+9")
    until(lambda: spool.config.current().version == 2)
    os.chown(spool.path / "config" / "current" / "variables.yaml", 12003, 12003)
    edit(spool, "qubit_LO: 5.16e+9", "qubit_LO: 5.17e+9")
    until(lambda: "variables/hardware is for user ada" in run("queue").err)
    assert spool.config.current().version == 2


def test_what_a_job_found_is_put_in_only_where_its_unit_fits_and_only_if_it_found_it(
    run: Run, served: ServerProcess, spool: Spool, tmp_path: Path
) -> None:
    (tmp_path / "rabi.json").write_text(json.dumps({**rabi(1, 41, 5e-9).to_dict(), "job": {"n_reps": 200}}))
    job_id = run("submit", tmp_path / "rabi.json", "--wait").out.strip()

    def apply(setting: str) -> Any:
        return run("config", "apply", "--from", job_id, setting, "-m", "x")

    wrong_unit = apply("variables/Q1/freq=fit.pi_width")
    literal = apply("variables/Q1/amp_90=0.3")
    assert (wrong_unit.status, literal.status) == (1, 2)
    assert "hertz" in wrong_unit.err and "nothing that a job found" in literal.err
    assert spool.config.current().version == 1

    assert apply("variables/Q1/pi_width=!new fit.pi_width").status == 0
    assert spool.config["variables/Q1/pi_width"] == pytest.approx(50e-9, rel=0.3)
