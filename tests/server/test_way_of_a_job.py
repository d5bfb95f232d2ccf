"""A job from its drop to its result, with a real server process and the simulator as instrument."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

from qtrl_spool import SequenceWrapper, Spool
from qtrl_spool.bundle import Bundle, Manifest, pack
from qtrl_spool.errors import (
    ConfigConflictError,
    PatchError,
    SequenceError,
    UnknownPulseError,
)
from qtrl_spool.experiments import pi_no_pi, rabi, t1

from .support import (
    ONE_FILE,
    Serve,
    command,
    fs_names,
    only_job,
    quick,
    until,
)

# ---------------------------------------------------------------- the five ways in


def test_a_hand_written_file_copied_into_incoming_becomes_a_result(
    spool: Spool, serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "rabi.yaml").write_text(ONE_FILE)
    serve()

    shutil.copy(tmp_path / "rabi.yaml", spool.path / "incoming" / "50-normal")
    job = spool.job(only_job(spool))
    result = job.result(60)

    assert job.status()["name"] == "rabi by hand"
    assert result.dataset["iq"].sizes == {
        "readout": 1, "repetition": 60, "element": 11, "trigger": 1, "quadrature": 2,
    }  # fmt: skip
    assert fs_names(spool.path / "incoming" / "50-normal") == []


def test_a_folder_becomes_a_result(spool: Spool, serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "my rabi"
    folder.mkdir()
    (folder / "sequence.json").write_text(json.dumps(rabi(1, 5).to_dict()))
    (folder / "config.yaml").write_text("variables: {Q1: {rabi_amp: 0.1}}\n")
    (folder / "job.yaml").write_text("{n_reps: 20, tags: [folder]}\n")
    serve()

    shutil.copytree(folder, spool.path / "incoming" / "10-urgent" / "my rabi")
    job = spool.job(only_job(spool))

    assert job.wait(60).state == "done"
    assert (job.status()["priority"], job.status()["tags"]) == (10, ["folder"])


def test_a_copied_qjob_becomes_a_result(spool: Spool, serve: Serve) -> None:
    bundle = Bundle(sequence=t1(0, 5).to_dict(), manifest=Manifest(n_reps=20))
    serve()

    (spool.path / "incoming" / "relaxation.qjob").write_bytes(pack(bundle))

    assert spool.job(only_job(spool)).wait(60).state == "done"


def test_the_submit_command_prints_the_id_of_a_job_that_becomes_a_result(
    spool: Spool, serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "rabi.yaml").write_text(ONE_FILE)
    serve()

    made = command("submit", "--spool", spool.path, tmp_path / "rabi.yaml", "--priority", "high")

    assert made.returncode == 0, made.stderr
    assert spool.job(made.stdout.strip()).wait(60).state == "done"


def test_a_sequence_submitted_from_python_becomes_a_result(spool: Spool, serve: Serve) -> None:
    serve()

    job = spool.submit(pi_no_pi(0), priority="urgent", name="readout", **quick(notes="first light"))

    assert job.result(60).attrs["notes"] == "first light"
    assert job.done() and not job.running() and not job.cancelled()


# ---------------------------------------------------------------- results


def test_a_result_opens_with_xarray_and_h5py_and_says_where_it_comes_from(spool: Spool, serve: Serve) -> None:
    serve()
    job = spool.submit(rabi(1, 5, herald=True), {"variables/Q1/rabi_amp": 0.1}, **quick())

    path = job.home / "result.h5"
    job.wait(60)

    with xarray.open_dataset(path) as dataset:
        assert dataset.iq.dims == ("readout", "repetition", "element", "trigger", "quadrature")
        assert dataset.attrs["job_id"] == job.id
        assert dataset.attrs["config_version"] == 1
    with h5py.File(path) as file:
        assert file.attrs["format"] == "qtrl-result/1"
    assert job.result().config["variables"]["Q1"]["rabi_amp"] == 0.1


def test_a_seeded_job_run_twice_gives_the_same_data_to_the_bit(spool: Spool, serve: Serve) -> None:
    serve()
    jobs = [spool.submit(rabi(1, 5), {"simulator": {"seed": 7}}, **quick()) for _ in range(2)]

    first, second = (job.result(60).dataset["iq"].values for job in jobs)

    np.testing.assert_array_equal(first, second)


# ---------------------------------------------------------------- the configuration


def test_consecutive_jobs_with_other_patches_do_not_see_each_others_values(
    spool: Spool, serve: Serve
) -> None:
    before = tree_hash(spool.path / "config")
    serve()
    patches = [{"variables": {"Q1/rabi_amp": 0.11}}, {"variables": {"Q1/freq": 5.2e9}}, None]

    jobs = [spool.submit(rabi(1, 3), patch, **quick()) for patch in patches]
    configs = [job.result(60).config["variables"]["Q1"] for job in jobs]
    default = spool.config.current()

    assert [config["rabi_amp"] for config in configs] == [
        0.11, default["variables/Q1/rabi_amp"], default["variables/Q1/rabi_amp"],
    ]  # fmt: skip
    assert [config["freq"] for config in configs] == [
        default["variables/Q1/freq"], 5.2e9, default["variables/Q1/freq"],
    ]  # fmt: skip
    assert tree_hash(spool.path / "config") == before


def tree_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != ".lock":
            digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()


def test_an_edit_made_while_the_server_idles_is_used_by_the_next_job(spool: Spool, serve: Serve) -> None:
    serve().ready()
    path = next(
        p for p in (spool.path / "config" / "current").iterdir() if p.name.lower() == "variables.yaml"
    )
    old = spool.config["variables/Q1/rabi_amp"]
    text = path.read_text()
    lines = [line for line in text.splitlines() if "rabi_amp" in line]
    assert lines

    path.write_text(text.replace(str(old), "0.123"))
    until(lambda: spool.config["variables/Q1/rabi_amp"] == 0.123)
    job = spool.submit(rabi(1, 3), **quick())

    assert job.result(60).config["variables"]["Q1"]["rabi_amp"] == 0.123
    assert job.status()["config_version"] == 2


def test_the_default_is_updated_by_a_request_and_a_stale_base_is_a_conflict(
    spool: Spool, serve: Serve
) -> None:
    serve().ready()

    version = spool.config.update({"variables/Q1/freq": 5.3e9}, reason="recalibrated")

    assert (version, spool.config["variables/Q1/freq"]) == (2, 5.3e9)
    with pytest.raises(ConfigConflictError):
        spool.config.update({"variables/Q1/freq": 5.4e9}, reason="too late", base=1)


# ---------------------------------------------------------------- what is wrong


def test_a_misspelt_configuration_key_is_refused_at_submission_with_a_suggestion(spool: Spool) -> None:
    with pytest.raises(PatchError, match="rabi_amp"):
        spool.submit(rabi(1, 3), {"variables": {"Q1/rabi_ampl": 0.1}})

    assert not spool.jobs()


def test_a_misspelt_pulse_key_is_refused_at_submission_with_a_suggestion(spool: Spool) -> None:
    seq = rabi(1, 3)
    seq.append("Q1/X18")

    with pytest.raises(SequenceError, match="Q1/X180") as caught:
        spool.submit(seq)

    assert isinstance(caught.value.problems[0], UnknownPulseError)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("Q1/rabi_amp: 0.2", "Q1/rabi_ampl: 0.2", "rabi_amp"),
        ("pulse: Q1/rabi,", "pulse: Q1/rabbi,", "Q1/rabi"),
        ("n_reps: 60", "n_rep: 60", "n_reps"),
        ("n_elements: 11", "n_elements: many", "n_elements"),
        ("appends:", "appends: [", "bad.yaml"),
    ],
)
def test_a_bad_drop_is_rejected_with_what_where_and_how(
    spool: Spool, serve: Serve, old: str, new: str, says: str
) -> None:
    serve()
    (spool.path / "incoming" / "50-normal" / "bad.yaml").write_text(ONE_FILE.replace(old, new))

    record = until(lambda: [job.status() for job in spool.jobs(state="rejected")])[0]
    text = next((spool.path / "rejected").glob("*.txt")).read_text()

    assert says in text
    assert record["error"]["message"] in text
    until((spool.path / record["rejected"]).exists)
    assert (spool.path / record["rejected"]).read_text() == ONE_FILE.replace(old, new)


def test_after_a_bad_drop_the_server_takes_the_next(spool: Spool, serve: Serve) -> None:
    serve()
    (spool.path / "incoming" / "bad.qjob").write_bytes(b"PK\x03\x04 nonsense")
    (spool.path / "incoming" / "good.yaml").write_text(ONE_FILE)

    assert until(lambda: [job for job in spool.jobs(name="rabi by hand") if job.state == "done"])


def test_a_job_that_does_not_compile_fails_before_the_backend_and_the_next_one_is_right(
    spool: Spool, serve: Serve
) -> None:
    broken = SequenceWrapper(n_elements=2, name="contradiction")
    broken.append("Q1/X180", start="Start", end="a")
    broken.append("Q1/X180", start="Start", end="a", end_delay=1e-6)
    broken.append("Readout/R1", start="a")
    serve()

    first = spool.submit(broken, check=False, **quick())
    second = spool.submit(pi_no_pi(1), **quick())

    assert isinstance(first.exception(60), SequenceError)
    assert "started" not in [event["event"] for event in first.log()]
    assert second.result(60).sequence.name == "pi_no_pi"


def test_an_amplitude_beyond_full_scale_is_refused_unless_the_manifest_says_clip(
    spool: Spool, serve: Serve
) -> None:
    loud = {"variables": {"Q1/amp_180": 1.5}}
    serve()

    with pytest.raises(SequenceError, match="full scale"):
        spool.submit(pi_no_pi(1), loud)

    assert spool.submit(pi_no_pi(1), loud, **quick(clip=True)).wait(60).state == "done"


# ---------------------------------------------------------------- slow copies


@pytest.mark.parametrize("kind", ["yaml", "json", "qjob"])
def test_a_slowly_copied_drop_is_never_taken_half(spool: Spool, serve: Serve, kind: str) -> None:
    seq = rabi(1, 7)
    data = {
        "yaml": ONE_FILE.encode(),
        "json": json.dumps(seq.to_dict()).encode(),
        "qjob": pack(Bundle(sequence=seq.to_dict(), manifest=Manifest(n_reps=20))),
    }[kind]
    server = serve().ready()
    target = spool.path / "incoming" / "50-normal" / f"slow.{kind}"

    with target.open("wb") as file:
        for piece in np.array_split(np.frombuffer(data, "u1"), 10):
            file.write(piece.tobytes())
            file.flush()
            time.sleep(0.05)  # shorter than settle_s: it never stands still for so long

    assert spool.job(only_job(spool)).wait(60).state == "done"
    assert fs_names(spool.path / "rejected") == []
    assert server.process.poll() is None
