"""The simulator as a backend: puts chip, drives, evolution and readout in order.

`prepare` works out all probabilities of a job; `acquire` only draws from them. Every batch has random
streams of its own for the levels of each group of qubits, for the path of each readout and for its
noise, made of the seed, the number of the batch and their names: the same seed gives the same bits
in every process, whatever else is read, and batch k without the ones before it. Without a seed one
is drawn for each job; the plan's `seed` tells which.

Called by `qtrl_spool.run` in the server's worker thread. Fails with `ConfigError` for an impossible
chip and with `BackendError` for a readout of a qubit that the chip does not have.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.axes import IQ_AXES, RAW_AXES, Labelled
from qtrl_spool.backends import Acquired, Capabilities, Measurement
from qtrl_spool.backends.simulator.chip import Chip, chip_of, number
from qtrl_spool.backends.simulator.describe import simulator_document, window_of
from qtrl_spool.backends.simulator.groups import Played
from qtrl_spool.backends.simulator.outcomes import Group
from qtrl_spool.backends.simulator.probes import Tones, fields_of, tones_of
from qtrl_spool.backends.simulator.readout import (
    Paths,
    Readout,
    draw_levels,
    level_of,
    noise_of,
    paths,
    points_of,
    with_crosstalk,
)
from qtrl_spool.backends.simulator.resonator import Window
from qtrl_spool.backends.simulator.traces import Shots, excess_of, floor_of, traces
from qtrl_spool.errors import AbortedError, BackendError, did_you_mean

if TYPE_CHECKING:
    from qtrl_spool.config import AcquisitionSettings

LOOK_EVERY_S = 0.01
SEED_BITS = 48
"""Of a seed that is drawn: few enough for any reader of JSON to keep it exact."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What `prepare` leaves for `acquire`.

    Attributes
    ----------
    seed:
        Of all random streams.
    noise, batch_s:
        As in `Chip`.
    settings:
        Of the acquisition.
    readouts:
        In the order of the measurement's.
    groups:
        All that are read, or that are drawn together with one that is.
    """

    seed: int
    noise: float
    batch_s: float
    settings: AcquisitionSettings
    readouts: tuple[Readout, ...]
    groups: tuple[Group, ...]


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
        self._plan: Plan | None = None
        self.capabilities = Capabilities(sample_bytes=2)

    def connect(self) -> None:
        """Do nothing: there is no instrument."""

    def health(self) -> str | None:
        """Return None: a simulator is always well."""
        return None

    def prepare(self, measurement: Measurement) -> Plan:
        """Work out the probability of every outcome of a job (see `Backend.prepare`)."""
        config = measurement.config
        chip = chip_of(config.get("simulator") or simulator_document(config))
        read = {label: _qubit_name(label, chip) for label in measurement.readouts}
        tones = _tones(measurement, chip, read)
        when = _triggers(measurement, tones)
        mixed = number(config.get("variables/hardware/qubit_LO", 0.0), "variables/hardware/qubit_LO")
        played = Played(measurement.program, chip, when, mixed)
        return Plan(
            seed=_seed(measurement.seed, chip),
            noise=chip.noise,
            batch_s=chip.batch_s,
            settings=measurement.settings,
            readouts=tuple(
                _readout(label, name, chip, tones[label], when, measurement) for label, name in read.items()
            ),
            groups=played.groups(read.values()),
        )

    def arm(self, plan: Plan) -> None:
        """Draw from this job's probabilities from now on."""
        self._aborted.clear()
        self._plan = plan

    def acquire(self, batch: int, should_stop: Callable[[], bool]) -> Acquired:
        """Draw one batch (see `Backend.acquire`)."""
        if self._plan is None:
            raise BackendError("the simulator was asked for data before a job was prepared")
        begun = self._clock()
        acquired = _acquired(self._plan, batch, lambda: self._look(should_stop))
        self._wait_until(begun + self._plan.batch_s, should_stop)
        return acquired

    def abort(self) -> None:
        """End a wait for `batch_s`, or the making of traces, at once."""
        self._aborted.set()

    def release(self) -> None:
        """Forget the job."""
        self._plan = None

    def _look(self, should_stop: Callable[[], bool]) -> None:
        if should_stop() or self._aborted.is_set():
            raise AbortedError("the simulated acquisition was stopped")

    def _wait_until(self, end: float, should_stop: Callable[[], bool]) -> None:
        while True:
            self._look(should_stop)
            left = end - self._clock()
            if left <= 0:
                return
            self._aborted.wait(min(left, LOOK_EVERY_S))


# -- preparing ---------------------------------------------------------------------------------------


def _seed(begun_with: int | None, chip: Chip) -> int:
    """Return the seed that a paused job began with, else the configured one, else a new one."""
    if begun_with is not None:
        return begun_with
    return secrets.randbits(SEED_BITS) if chip.seed is None else chip.seed


def _qubit_name(label: str, chip: Chip) -> str:
    name = "Q" + label.removeprefix("R")
    if name not in chip.qubits:
        near = (
            did_you_mean(name, chip.qubits) or f"the chip has {', '.join(sorted(chip.qubits)) or 'no qubits'}"
        )
        raise BackendError(
            f"readout {label!r} reads qubit {name!r}, which the simulated chip lacks", hint=near
        )
    return name


def _tones(measurement: Measurement, chip: Chip, read: dict[str, str]) -> dict[str, Tones]:
    """Return the readout pulses of each readout, by its label."""
    windows = {name: _window(name, measurement) for name in chip.qubits}
    frequencies = {
        name: chip.qubits[name].res_freq - window.mixed if window.mixed else window.demodulated
        for name, window in windows.items()
    }
    return {
        label: tones_of(measurement.program, chip.qubits[name], name, frequencies)
        for label, name in read.items()
    }


def _window(name: str, measurement: Measurement) -> Window:
    settings = measurement.settings
    found = window_of(name, measurement.config)
    return replace(found, n_points=settings.points, sample_rate=settings.sample_rate)


def _triggers(measurement: Measurement, tones: dict[str, Tones]) -> NDArray[np.int64]:
    """Return when to measure: where the first readout pulse begins if the sequence does not say."""
    if measurement.triggers.shape[1]:
        return measurement.triggers
    program = measurement.program
    begins = np.full(program.n_elements, program.n_samples, dtype=np.int64)
    for each in tones.values():
        np.minimum.at(begins, each.element, each.start)
    return np.repeat(begins[:, None], max(1, measurement.settings.n_triggers or 1), axis=1)


def _readout(
    label: str, name: str, chip: Chip, tones: Tones, when: NDArray[np.int64], measurement: Measurement
) -> Readout:
    qubit, window = chip.qubits[name], _window(name, measurement)
    return Readout(label, name, qubit, window, *fields_of(measurement.program, tones, when, qubit, window))


# -- acquiring ---------------------------------------------------------------------------------------


def _acquired(plan: Plan, batch: int, look: Callable[[], None]) -> Acquired:
    shots = _shots(plan, batch)
    if plan.settings.keep_raw:
        return Acquired(raw=Labelled(_raw(plan, batch, shots, look), RAW_AXES))
    points = with_crosstalk(
        [points_of(readout, path) for readout, path in zip(plan.readouts, shots, strict=True)], plan.readouts
    )
    shape = (len(points), plan.settings.n_reps, *plan.readouts[0].number.shape) if points else (0, 0, 0, 0)
    iq = np.empty(shape, dtype=np.complex64)
    for at, (readout, path) in enumerate(zip(plan.readouts, shots, strict=True)):
        random = _stream(plan.seed, batch, readout.label, "noise")
        np.add(points[at], noise_of(path.levels, plan.noise * readout.widths, random), out=iq[at])
    return Acquired(iq=Labelled(iq.view(np.float32).reshape(*iq.shape, 2), IQ_AXES))


def _shots(plan: Plan, batch: int) -> list[Paths]:
    """Return the levels that the shots of each readout go through."""
    drawn: dict[str, NDArray[np.int8]] = {}
    for group in plan.groups:
        random = _stream(plan.seed, batch, *group.names, "levels")
        levels = draw_levels(group.outcomes, plan.settings.n_reps, random)
        for place, name in enumerate(group.names):
            drawn[name] = level_of(levels, place, len(group.names))
    return [
        paths(
            drawn[readout.name],
            readout.qubit,
            readout.window,
            _stream(plan.seed, batch, readout.label, "path"),
        )
        for readout in plan.readouts
    ]


def _raw(plan: Plan, batch: int, paths_: list[Paths], look: Callable[[], None]) -> NDArray[np.int16]:
    floor = floor_of(plan.readouts)
    shots = [
        Shots(
            path,
            noise_of(
                path.levels,
                plan.noise * excess_of(readout, floor),
                _stream(plan.seed, batch, readout.label, "noise"),
            ),
        )
        for readout, path in zip(plan.readouts, paths_, strict=True)
    ]
    white = plan.noise * floor * plan.settings.points**0.5
    return traces(plan.readouts, shots, white, _stream(plan.seed, batch, "raw"), look)


def _stream(seed: int, batch: int, *names: str) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64([seed, batch, *"/".join(names).encode()]))
