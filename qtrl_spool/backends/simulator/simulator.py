"""The simulator as a backend: puts chip, drives, evolution and readout in order.

`prepare` works out all probabilities of a job; `acquire` only draws from them. Every batch has a
random stream of its own for each readout, made of the seed, the number of the batch and the label of
the readout: the same seed gives the same bits in every process, whatever else is read. Without a
seed one is drawn for each job; the plan's `seed` tells which.

Called by `qtrl_spool.run` in the server's worker thread. Fails with `ConfigError` for an impossible
chip and with `BackendError` for a readout of a qubit that the chip does not have.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.axes import IQ_AXES, RAW_AXES, Labelled
from qtrl_spool.backends import Acquired, Capabilities, Measurement
from qtrl_spool.backends.simulator.chip import Chip, Qubit, chip_of, enabled_steps, number, simulator_document
from qtrl_spool.backends.simulator.drive import schedule
from qtrl_spool.backends.simulator.evolve import Outcomes, outcomes
from qtrl_spool.backends.simulator.readout import draw_levels, iq_points, traces
from qtrl_spool.errors import AbortedError, BackendError, did_you_mean

if TYPE_CHECKING:
    from qtrl_spool.config import AcquisitionSettings, Configuration
    from qtrl_spool.sequence import Program

LOOK_EVERY_S = 0.01
SEED_BITS = 48
"""Of a seed that is drawn: few enough for any reader of JSON to keep it exact."""


@dataclass(frozen=True, eq=False)
class _Job:
    """What `prepare` leaves for `acquire`: one entry of each tuple for each readout."""

    chip: Chip
    settings: AcquisitionSettings
    readouts: tuple[str, ...]
    qubits: tuple[Qubit, ...]
    outcomes: tuple[Outcomes, ...]
    frequencies: tuple[float, ...]
    n_triggers: int
    seed: int


class Simulator:
    """Transmons instead of an instrument.

    Parameters
    ----------
    clock:
        Tells the time that `batch_s` is measured by, s.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._aborted = threading.Event()
        self._job: _Job | None = None
        self.capabilities = Capabilities()

    def connect(self) -> None:
        """Do nothing: there is no instrument."""

    def health(self) -> str | None:
        """Return None: a simulator is always well."""
        return None

    def prepare(self, measurement: Measurement) -> _Job:
        """Work out the probability of every outcome of a job (see `Backend.prepare`)."""
        program, config, readouts = measurement.program, measurement.config, measurement.readouts
        chip = chip_of(config.get("simulator") or simulator_document(config))
        qubits = tuple(_probed(label, _qubit_of(label, chip), config) for label in readouts)
        when = _triggers(measurement.triggers, program, measurement.settings)
        mixed = number(config.get("variables/hardware/qubit_LO", 0.0), "variables/hardware/qubit_LO")
        return _Job(
            chip=chip,
            settings=measurement.settings,
            readouts=readouts,
            qubits=qubits,
            outcomes=tuple(solve(program, qubit, when, mixed) for qubit in qubits),
            frequencies=tuple(_signal_frequency(label, config) for label in readouts),
            n_triggers=when.shape[1],
            seed=_seed(measurement.seed, chip),
        )

    def arm(self, plan: _Job) -> None:
        """Draw from this job's probabilities from now on."""
        self._aborted.clear()
        self._job = plan

    def acquire(self, batch: int, should_stop: Callable[[], bool]) -> Acquired:
        """Draw one batch (see `Backend.acquire`)."""
        if self._job is None:
            raise BackendError("the simulator was asked for data before a job was prepared")
        begun = self._clock()
        acquired = _acquired(self._job, batch)
        self._wait_until(begun + self._job.chip.batch_s, should_stop)
        return acquired

    def abort(self) -> None:
        """End a wait for `batch_s` at once."""
        self._aborted.set()

    def release(self) -> None:
        """Forget the job."""
        self._job = None

    def _wait_until(self, end: float, should_stop: Callable[[], bool]) -> None:
        while True:
            if should_stop() or self._aborted.is_set():
                raise AbortedError("the simulated acquisition was stopped")
            left = end - self._clock()
            if left <= 0:
                return
            self._aborted.wait(min(left, LOOK_EVERY_S))


def _seed(begun_with: int | None, chip: Chip) -> int:
    """Return the seed that a paused job began with, else the configured one, else a new one."""
    if begun_with is not None:
        return begun_with
    return secrets.randbits(SEED_BITS) if chip.seed is None else chip.seed


def _qubit_of(label: str, chip: Chip) -> Qubit:
    name = "Q" + label.removeprefix("R")
    if name not in chip.qubits:
        near = (
            did_you_mean(name, chip.qubits) or f"the chip has {', '.join(sorted(chip.qubits)) or 'no qubits'}"
        )
        raise BackendError(
            f"readout {label!r} reads qubit {name!r}, which the simulated chip lacks", hint=near
        )
    return chip.qubits[name]


def _probed(label: str, qubit: Qubit, config: Configuration) -> Qubit:
    """Return the qubit as the configured probe sees it; on resonance where none is configured."""
    modulation = f"variables/Q{label.removeprefix('R')}/res_mod_freq"
    mixed = "variables/hardware/readout_LO"
    if modulation not in config or mixed not in config:
        return qubit
    return qubit.probed(number(config[modulation], modulation) + number(config[mixed], mixed))


def _triggers(
    triggers: NDArray[np.int64], program: Program, settings: AcquisitionSettings
) -> NDArray[np.int64]:
    """Return when to measure: at the end if the sequence does not say."""
    if triggers.shape[1]:
        return triggers
    return np.full((program.n_elements, max(1, settings.n_triggers or 1)), program.n_samples, dtype=np.int64)


def solve(program: Program, qubit: Qubit, triggers: NDArray[np.int64], mixed: float) -> Outcomes:
    """Return the probabilities of one qubit's levels; `mixed` is the local oscillator, Hz."""
    plan = schedule(program, (qubit.chan_I, qubit.chan_Q), triggers)
    return outcomes(plan, qubit, triggers, sample_rate=program.sample_rate, local_oscillator=mixed)


def _signal_frequency(label: str, config: Configuration) -> float:
    """Return where the chain looks for a readout's signal, Hz."""
    step = enabled_steps(config).get("Heterodyne", {})
    labels = [f"R{name}" for name in step.get("freq_labels", [])]
    frequencies = step.get("frequencies", [])
    if label in labels and labels.index(label) < len(frequencies):
        return number(frequencies[labels.index(label)], f"the Heterodyne step's frequency of {label}")
    path = f"variables/Q{label.removeprefix('R')}/res_mod_freq"
    return number(config.get(path, 0.0), path)


def _acquired(job: _Job, batch: int) -> Acquired:
    settings, seed = job.settings, job.seed
    floor = _narrowest(job.qubits) if settings.keep_raw else 0.0
    points = _points(job, seed, batch, floor)
    if not settings.keep_raw:
        return Acquired(iq=Labelled(points.view(np.float32).reshape(*points.shape, 2), IQ_AXES))
    raw = traces(
        points,
        job.frequencies,
        n_points=settings.points,
        sample_rate=settings.sample_rate,
        noise=job.chip.noise * floor * settings.points**0.5,
        random=_stream(seed, batch, "raw"),
    )
    return Acquired(raw=Labelled(raw, RAW_AXES))


def _points(job: _Job, seed: int, batch: int, elsewhere: float) -> NDArray[np.complex64]:
    """Return the IQ points of a batch [readout, repetition, element, trigger]."""
    settings = job.settings
    shape = (len(job.readouts), settings.n_reps, settings.n_elements, job.n_triggers)
    window = settings.points / settings.sample_rate
    points = np.empty(shape, dtype=np.complex64)
    for at, (label, found, qubit) in enumerate(zip(job.readouts, job.outcomes, job.qubits, strict=True)):
        random = _stream(seed, batch, label)
        levels = draw_levels(found, settings.n_reps, random)
        points[at] = iq_points(levels, qubit, window, job.chip.noise, random, elsewhere=elsewhere)
    return points


def _narrowest(qubits: tuple[Qubit, ...]) -> float:
    """Return the width of the narrowest blob: what the noise of the traces makes of all of them."""
    return min((min(qubit.iq_sigma) for qubit in qubits), default=0.0)


def _stream(seed: int, batch: int, label: str) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64([seed, batch, *label.encode()]))
