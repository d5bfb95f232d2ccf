"""A job from its drop to its result, with a real server process and the simulator as instrument."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

from qtrl_spool import SequenceWrapper, Spool
from qtrl_spool.bundle import Bundle, Manifest, pack
from qtrl_spool.errors import (
    ConfigConflictError,
    JobCancelledError,
    NotFoundError,
    PatchError,
    SequenceError,
    UnknownPulseError,
    UsageError,
)
from qtrl_spool.experiments import pi_no_pi, rabi, t1

from .conftest import ServerProcess, command, until

Serve = Callable[..., ServerProcess]

ONE_FILE = """\
format: qtrl-sequence/1
name: rabi by hand
n_elements: 11
x_axis: {name: pulse width, unit: us, values: [0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2]}
appends:
- {pulse: Q1/rabi, element: {sweep: [0, 11]}, width: {linspace: [0, 200.e-9, 11]}}
- {pulse: Readout/R1, start: ref1}
- {pulse: Readout/Trigger, start: ref1, start_delay: 130.e-9}
config:
  variables: {Q1/rabi_amp: 0.2}
job:
  n_reps: 60
  n_batches: 1
...
"""


def quick(**more: object) -> dict[str, object]:
    return {"n_reps": 40, "n_batches": 1, **more}


def slow(batch_s: float = 0.3, n_batches: int = 100) -> dict[str, object]:
    return {"config": {"simulator": {"batch_s": batch_s}}, "n_reps": 10, "n_batches": n_batches}


def only_job(spool: Spool) -> str:
    return str(until(lambda: [job.id for job in spool.jobs()])[0])


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


def fs_names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


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
        "waiting for 1 job",
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
    until(lambda: ((status := job.status()) and seen.update({status["state"]: status})) or job.done())

    assert set(seen) >= {"queued", "done"}
    assert [state for state, status in seen.items() if not keys <= set(status)] == []


def test_a_job_is_named_by_any_part_of_its_id_that_is_unambiguous(spool: Spool) -> None:
    job = spool.submit(pi_no_pi(0), **quick())

    assert spool.job(job.id[-5:]).id == job.id
    with pytest.raises(NotFoundError):
        spool.job("nonexistent")


# ---------------------------------------------------------------- servers


def test_a_second_server_of_the_same_name_is_refused_with_the_holders_name(
    spool: Spool, serve: Serve
) -> None:
    first = serve().ready()

    second = command("serve", "--spool", spool.path, "--name", "lab")

    assert second.returncode == 1
    assert f"process {first.process.pid}" in second.stderr
    assert first.process.poll() is None


def test_sigterm_gives_the_running_job_back_after_its_batch(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = spool.submit(pi_no_pi(0), **slow(batch_s=0.1))
    until(job.running)

    assert server.stop() == 0

    assert job.state == "queued"
    assert job.status()["server"] is None
    assert fs_names(spool.path / "running" / "lab") == []


def test_sigterm_gives_up_a_batch_that_takes_too_long(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = spool.submit(pi_no_pi(0), **slow(batch_s=600))
    until(lambda: job.status()["phase"] == "acquiring")

    assert server.stop() == 0
    assert job.state == "queued"


def test_two_servers_share_a_spool_and_each_job_is_run_once(spool: Spool, serve: Serve) -> None:
    jobs = [spool.submit(pi_no_pi(0), **quick(), check=False) for _ in range(12)]
    both = [serve("--drain", name=name) for name in ("lab-a", "lab-b")]

    for server in both:
        server.process.wait(60)

    assert [job.state for job in jobs] == ["done"] * 12
    assert [[e["event"] for e in job.log()].count("claimed") for job in jobs] == [1] * 12


def test_a_killed_server_goes_on_where_it_was_after_a_restart(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = spool.submit(pi_no_pi(0), {"simulator": {"batch_s": 0.05}}, n_reps=10, n_batches=20)
    until(lambda: job.status()["progress"]["batch"] >= 3)

    server.kill()
    serve()

    assert job.wait(60).state == "done"
    assert job.status()["attempt"] == 2
    assert [event["event"] for event in job.log()].count("requeued") == 1


def test_a_killed_servers_job_is_taken_over_by_another_after_the_lease(spool: Spool, serve: Serve) -> None:
    server = serve(name="lab-a")
    job = spool.submit(pi_no_pi(0), {"simulator": {"batch_s": 0.05}}, n_reps=10, n_batches=40)
    until(lambda: job.status()["progress"]["batch"] >= 1)

    server.kill()
    serve(name="lab-b")

    assert job.wait(60).state == "done"
    assert job.status()["server"] == "lab-b"


def test_an_interrupted_job_that_must_not_run_again_fails(spool: Spool, serve: Serve) -> None:
    server = serve()
    job = spool.submit(pi_no_pi(0), **slow(), on_interrupt="fail")
    until(lambda: job.status()["phase"] == "acquiring")

    server.kill()
    serve()
    job.wait(60)

    assert job.state == "failed"
    assert "on_interrupt" in job.status()["error"]["hint"]


def test_many_clients_submit_at_once_and_nothing_is_lost(spool: Spool, serve: Serve) -> None:
    serve()
    seq, ids = pi_no_pi(0), []
    clients = [
        threading.Thread(
            target=lambda: ids.extend(spool.submit(seq, check=False, n_reps=5).id for _ in range(5))
        )
        for _ in range(4)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()

    until(lambda: len(spool.jobs(state="done")) == 20)

    assert sorted(job.id for job in spool.jobs(state="done")) == sorted(ids)
