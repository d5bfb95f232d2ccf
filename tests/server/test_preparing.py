"""A paused job goes on with what it measured, unless that is surely gone or does not fit."""

from __future__ import annotations

import builtins
import errno
import fcntl
import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool import fs, run
from qtrl_spool.backends import load_backend
from qtrl_spool.bundle import Bundle, Manifest
from qtrl_spool.config import load_config
from qtrl_spool.errors import StorageError
from qtrl_spool.experiments import pi_no_pi
from qtrl_spool.gathered import Data
from qtrl_spool.job import State, Ticket
from qtrl_spool.server.orders import NotBegun, Order, Ready, Report
from qtrl_spool.server.preparing import Preparing
from qtrl_spool.server.stage import Reports
from qtrl_spool.shipped import default_config_folder
from qtrl_spool.spool.journal import PARTIAL
from qtrl_spool.spool.tickets import Place

PLACE = Place(Ticket(50, 1, "20261123-101530-rabi-k3f9x", 1), Path("ticket"), State.QUEUED)


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """Return the order to go on with a job that measured three batches before its pause."""
    default = load_config(default_config_folder())
    patch = {"adc": {"acquisition_settings": {"n_reps": 4, "n_batches": 6}}}
    bundle = Bundle(pi_no_pi(0).to_dict(), patch, Manifest())
    prepared, simulator = run.prepare(bundle, default), load_backend("simulator")
    simulator.connect()
    simulator.arm(simulator.prepare(run.measurement(prepared)))
    data = Data(run.need_of(prepared))
    run.acquire(
        prepared,
        simulator,
        data,
        halting=lambda: data.n_batches == 3,
        aborting=lambda: False,
        on_batch=ignore,
    )
    facts = {"program_sha256": prepared.sequence.program.sha256, "claim": 1}
    fs.replace_by(tmp_path / PARTIAL, run.conclude(prepared, data, facts, partial=True))
    said: dict[str, Any] = {"identity": {}, "n_attempts": 1, "started": None, "notes": (), "before": None}
    return Order(PLACE, PLACE, "", tmp_path, bundle, default, is_paused=True, is_current=lambda: True, **said)


def ignore(n_batches: int) -> None:
    """Hear of a batch."""


def reported(order: Order) -> Report:
    """Prepare a job and return what the stage says of it."""
    reports = Reports(wake=lambda: None)
    Preparing(reports, lambda ready: None).carry_out((order, load_backend("simulator")))
    return reports.take()[-1]


def n_kept(order: Order) -> int:
    """Return how many batches a job goes on with."""
    ready = reported(order)
    assert isinstance(ready, Ready)
    return 0 if ready.before is None else ready.before.data.n_batches


class Failing(io.FileIO):
    """A file of which some reads come to their end before the share fails."""

    def __init__(self, path: int, n_good: int, code: int) -> None:
        super().__init__(path, "rb")
        self._n_good, self._code = n_good, code

    def read(self, size: int | None = -1) -> bytes | None:
        if not self._n_good:
            raise OSError(self._code, os.strerror(self._code))
        self._n_good -= 1
        return super().read(-1 if size is None else size)


def fail_reads(monkeypatch: pytest.MonkeyPatch, n_good: int, code: int) -> None:
    """Let the share fail after some reads of a partial result."""
    real = builtins.open

    def opening(file: Any, mode: str = "r", *more: Any, **how: Any) -> Any:
        where = os.readlink(f"/proc/self/fd/{file}") if isinstance(file, int) else str(file)
        return Failing(file, n_good, code) if where.endswith(PARTIAL) else real(file, mode, *more, **how)

    monkeypatch.setattr(builtins, "open", opening)
    monkeypatch.setattr(io, "open", opening)


def test_a_paused_job_goes_on_with_all_that_it_measured(order: Order) -> None:
    assert n_kept(order) == 3


@pytest.mark.skipif(os.name == "nt", reason="POSIX locks")
def test_a_reader_who_locks_a_partial_result_keeps_nobody_from_going_on_with_it(order: Order) -> None:
    with (order.home / PARTIAL).open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_EX)

        assert n_kept(order) == 3


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="tells a file by its descriptor")
@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("n_good", [0, 1])  # the second read meets the end of the file
def test_a_share_that_fails_while_a_partial_result_is_read_has_the_job_wait(
    order: Order, monkeypatch: pytest.MonkeyPatch, n_good: int, code: int
) -> None:
    fail_reads(monkeypatch, n_good, code)

    said = reported(order)

    assert isinstance(said, NotBegun)
    assert isinstance(said.trouble, StorageError)
    assert PARTIAL in str(said.trouble)


def test_a_share_that_is_away_has_the_job_wait(order: Order) -> None:
    said = reported(replace(order, home=order.home / "away"))

    assert isinstance(said, NotBegun)


def test_a_job_whose_partial_result_is_gone_starts_over(order: Order) -> None:
    (order.home / PARTIAL).unlink()

    assert n_kept(order) == 0


@pytest.mark.parametrize("n_bytes", [0, 100, 4_000])
def test_a_job_whose_partial_result_is_torn_starts_over(order: Order, n_bytes: int) -> None:
    path = order.home / PARTIAL
    path.write_bytes(path.read_bytes()[:n_bytes])

    assert n_kept(order) == 0


def test_a_job_whose_partial_result_is_none_at_all_starts_over(order: Order) -> None:
    (order.home / PARTIAL).write_bytes(b"no HDF5" * 1000)

    assert n_kept(order) == 0
