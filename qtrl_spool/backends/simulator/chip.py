"""What the simulated chip truly is: the configuration document `simulator`.

`simulator_document` makes it once, when a spool is made, from the lab's default configuration;
from then on it is a document like any other, and every value of it can be patched. A job whose
patch moves ``variables/Q6/freq`` therefore drives a qubit that stayed where it was.

`chip_of` reads it back for a job, as one `Qubit` for each name. What is wrong with a value is a
`ConfigError` with the path of the value.

Known limits: the qubits are independent of each other, but for a shared drive line: no ZZ, no cross
resonance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import cos, erfc, exp, hypot, sin, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from qtrl_spool.errors import ConfigError, SequenceError, did_you_mean
from qtrl_spool.sequence import Sequence
from qtrl_spool.sequence.lists import groups_of

if TYPE_CHECKING:
    from qtrl_spool.config import Configuration
    from qtrl_spool.sequence import Pulse

Point = tuple[float, float]

DEFAULTS: Mapping[str, float] = {
    "anharmonicity": -260e6,
    "t1": 30e-6,
    "t2": 25e-6,
    "detuning_noise": 12e3,
    "thermal_population": 0.03,
    "drive_rate": 150e6,
    "res_freq": 6.5e9,
    "chi": -0.5e6,
    "kappa": 1e6,
}
IQ_RADIUS = 300.0
IQ_SIGMA = 40.0
SECOND_EXCITED = 1.2 + 0.7j


@dataclass(frozen=True)
class Qubit:
    """One transmon, its drive line and its readout.

    Attributes
    ----------
    freq, anharmonicity:
        Of the transition 0-1, and of 1-2 minus 0-1, Hz.
    t1:
        Energy relaxation time, s.
    t2:
        Coherence time under an echo, s; at most 2 `t1`.
    detuning_noise:
        Standard deviation of the detuning that stays the same within a repetition, Hz.
    thermal_population:
        Population of level 1, relative to levels 0 and 1, at rest.
    drive_rate:
        Rabi frequency of a resonant drive at full scale, Hz.
    chan_I, chan_Q:
        DAC channels of the drive.
    res_freq, chi, kappa:
        Resonator's frequency between levels 0 and 1, its shift from there for level 0 (opposite for
        level 1), and its line width, Hz.
    iq_0, iq_1, iq_2:
        IQ point of each level when the probe is at `res_freq`, units of the ADC, before rotation.
    iq_sigma:
        Standard deviation of I (and of Q) for each level, units of the ADC.
    flip_0_to_1, flip_1_to_0:
        Probability that the readout itself takes one level for the other.
    """

    freq: float
    anharmonicity: float
    t1: float
    t2: float
    detuning_noise: float
    thermal_population: float
    drive_rate: float
    chan_I: int  # noqa: N815 - the configuration's own word
    chan_Q: int  # noqa: N815
    res_freq: float
    chi: float
    kappa: float
    iq_0: Point
    iq_1: Point
    iq_2: Point
    iq_sigma: tuple[float, float, float]
    flip_0_to_1: float
    flip_1_to_0: float

    @property
    def dephasing_rate(self) -> float:
        """Rate of the pure dephasing that is left when relaxation is taken from `t2`, 1/s."""
        return 1 / self.t2 - 1 / (2 * self.t1)

    def probed(self, frequency: float) -> Qubit:
        """Return the same qubit, its IQ points as a probe at `frequency` (Hz) sees them."""
        away = frequency - self.res_freq
        points = []
        for level, point in enumerate((self.iq_0, self.iq_1, self.iq_2)):
            there, here = (_response(level, probe, self.chi, self.kappa) for probe in (away, 0.0))
            seen = complex(*point) * there / here
            points.append((seen.real, seen.imag))
        return replace(self, iq_0=points[0], iq_1=points[1], iq_2=points[2])


@dataclass(frozen=True)
class Chip:
    """The whole document `simulator`.

    Attributes
    ----------
    seed:
        Makes jobs reproducible to the bit; None draws a new one for each job.
    noise:
        Factor on the noise of IQ points and traces.
    batch_s:
        Least wall time of a batch, s.
    qubits:
        By name (``Q6``).
    """

    seed: int | None
    noise: float
    batch_s: float
    qubits: Mapping[str, Qubit]


# -- making the document -----------------------------------------------------------------------------


def simulator_document(config: Configuration) -> dict[str, Any]:
    """Return the document `simulator` for a chip that a configuration describes well.

    Parameters
    ----------
    config:
        The default configuration of a spool.

    Returns
    -------
    dict
        Plain numbers, lists and mappings, ready to be written as YAML. Each qubit (a group of the
        variables named ``Q<label>`` with a ``freq``) has what the configuration says, and ordinary
        values where it says nothing. The area of its X180 is made to be a half turn, and the errors
        of the readout are those that ``readout/corr_matrix`` corrects.
    """
    variables: Mapping[Any, Any] = config.get("variables", {})
    names = [name for name, group in variables.items() if _is_qubit(name, group)]
    return {
        "seed": None,
        "noise": 1.0,
        "batch_s": 0.0,
        "chip": {str(name): _describe(str(name), variables[name], config) for name in names},
    }


def _is_qubit(name: object, group: object) -> bool:
    return str(name)[:1] == "Q" and isinstance(group, Mapping) and isinstance(group.get("freq"), int | float)


def _describe(name: str, group: Mapping[str, Any], config: Configuration) -> dict[str, Any]:
    pulse = _x180(name, config)
    channels = [part.channel for part in pulse[:2]] + [0, 1][len(pulse[:2]) :]
    chosen = {key: float(group.get(key, value)) for key, value in DEFAULTS.items()}
    chosen["drive_rate"] = _drive_rate(pulse, chosen["drive_rate"])
    drive = {key: int(group.get(key, channels[at])) for at, key in enumerate(("chan_I", "chan_Q"))}
    return {"freq": float(group["freq"])} | chosen | drive | _readout(name, chosen, config)


def _x180(name: str, config: Configuration) -> list[Pulse]:
    """Return the components of a qubit's own pi pulse: the real ones, on its own two channels."""
    stored = config.pulses.get(f"{name}/X180", None)
    groups = groups_of(stored) if stored else ()
    return [part for group in groups for part in group if not part.is_virtual and part.subchannel == 0]


def _drive_rate(pulse: list[Pulse], otherwise: float) -> float:
    """Return the Rabi frequency at full scale that makes `pulse` a half turn, Hz, or `otherwise`."""
    if not pulse:
        return otherwise
    drawn = Sequence(n_elements=1)
    drawn.append(pulse[0])
    try:
        program = drawn.compile().program
    except SequenceError:  # a variable of it is not there: said when a job plays it
        return otherwise
    area = abs(complex(np.sum(program.samples, dtype=np.complex128))) / program.sample_rate
    return round(0.5 / area, -3) if area else otherwise


def _readout(name: str, chosen: Mapping[str, float], config: Configuration) -> dict[str, Any]:
    points, sigma = _blobs(name, chosen, config)
    flips = _flips(name, chosen, points, sigma, config)
    named = {
        f"iq_{level}": [round(point.real, 2), round(point.imag, 2)] for level, point in enumerate(points)
    }
    spread = [round(width, 2) for width in sigma]
    return named | {"iq_sigma": spread, "flip_0_to_1": round(flips[0], 5), "flip_1_to_0": round(flips[1], 5)}


def _blobs(
    name: str, chosen: Mapping[str, float], config: Configuration
) -> tuple[list[complex], list[float]]:
    """Return the IQ point and the standard deviation of each level, before rotation, units of the ADC."""
    index, steps = _label(name, config), enabled_steps(config)
    classifier = steps.get("GMM", {})
    if index is None or len(classifier.get("means", [])) <= index:
        pointers = [IQ_RADIUS * _response(level, 0.0, chosen["chi"], chosen["kappa"]) for level in range(3)]
        return pointers, [IQ_SIGMA] * 3
    i0, q0, i1, q1 = (float(value) for value in classifier["means"][index])
    angles = steps.get("IQRotation", {}).get("angles", [])
    angle = float(angles[index]) if len(angles) > index else 0.0
    back = complex(cos(angle), -sin(angle))
    ground, excited = complex(i0, q0) * back, complex(i1, q1) * back
    spread = classifier.get("covariances", [])
    variances = spread[index] if len(spread) > index else [IQ_SIGMA**2] * 2
    sigma = [sqrt(float(np.mean(np.diagonal(np.atleast_2d(value))))) for value in variances]
    return [ground, excited, ground + (excited - ground) * SECOND_EXCITED], [*sigma, sigma[-1]]


def _response(level: int, probe: float, chi: float, kappa: float) -> complex:
    """Return a resonator's response to a probe that is `probe` (Hz) above its middle; 1 on resonance."""
    return 1 / (1 + 2j * (chi * (1 - 2 * level) - probe) / kappa)


def _flips(
    name: str,
    chosen: Mapping[str, float],
    points: list[complex],
    sigma: list[float],
    config: Configuration,
) -> tuple[float, float]:
    """Return the errors of `corr_matrix` that overlap and decay during the readout do not explain."""
    index = _label(name, config)
    matrix = config.get("variables/readout/corr_matrix", [])
    if index is None or len(matrix) <= index:
        return 0.0, 0.0
    up, down = float(matrix[index][2]), float(matrix[index][1])
    distance = hypot((points[1] - points[0]).real, (points[1] - points[0]).imag)
    overlap = [erfc(distance / (2 * sqrt(2) * width)) / 2 for width in sigma]
    decay = 1 - exp(-_window(config) / (2 * chosen["t1"]))
    explained = decay + overlap[1]
    return _beyond(up, overlap[0]), _beyond(down, explained)


def _beyond(total: float, explained: float) -> float:
    return max(0.0, (total - explained) / (1 - 2 * explained)) if explained < 0.5 else 0.0


def _window(config: Configuration) -> float:
    """Return the length of the readout's integration, s."""
    points = float(config.get("adc/acquisition_settings/points", 1024))
    return points / float(config.get("adc/hardware_settings/sample_rate", 1e9))


def _label(name: str, config: Configuration) -> int | None:
    """Return the place of a qubit's readout in the configuration's ``freq_labels``."""
    labels = enabled_steps(config).get("Heterodyne", {}).get("freq_labels", [])
    names = [f"Q{label}" for label in labels]
    return names.index(name) if name in names else None


def enabled_steps(config: Configuration) -> dict[str, Mapping[Any, Any]]:
    """Return the arguments of the first enabled step of each type of the processing chain."""
    found: dict[str, Mapping[Any, Any]] = {}
    processing: Mapping[Any, Any] = config.get("adc/processing", {}) or {}
    for _, group in sorted(processing.items(), key=lambda item: str(item[0])):
        if not isinstance(group, Mapping) or group.get("enable") is False:
            continue
        for _, step in sorted(group.items(), key=lambda item: str(item[0])):
            if isinstance(step, Mapping) and step.get("enable", True):
                found.setdefault(str(step.get("type")), step.get("kwargs") or {})
    return found


# -- reading the document ----------------------------------------------------------------------------


def chip_of(document: Mapping[Any, Any]) -> Chip:
    """Read the effective document `simulator` of a job.

    Raises
    ------
    ConfigError
        With every value that is missing, of the wrong kind or impossible, each with its path.
    """
    problems: list[ConfigError] = []
    qubits: dict[str, Qubit] = {}
    for name, group in (document.get("chip") or {}).items():
        try:
            qubits[str(name)] = _qubit(group, f"simulator/chip/{name}")
        except ConfigError as problem:
            problems.append(problem)
    if problems:
        raise ConfigError(
            problems[0].message, where=problems[0].where, hint=problems[0].hint, problems=tuple(problems)
        )
    seed = document.get("seed")
    return Chip(
        seed=None if seed is None else _seed(seed),
        noise=_positive(document.get("noise", 1.0), "simulator/noise"),
        batch_s=_positive(document.get("batch_s", 0.0), "simulator/batch_s"),
        qubits=qubits,
    )


def _qubit(group: Mapping[str, Any], where: str) -> Qubit:
    known = [field.name for field in fields(Qubit)]
    for key in group:
        if key not in known:
            hint = did_you_mean(key, known) or f"a qubit has {', '.join(known)}"
            raise ConfigError(f"a simulated qubit has no {key!r}", where=f"{where}/{key}", hint=hint)
    for key in known:
        if key not in group:
            raise ConfigError(f"the simulated qubit lacks {key!r}", where=where, hint=f"set {where}/{key}")
    values = {key: _value(key, group[key], f"{where}/{key}") for key in known}
    qubit = Qubit(**values)
    _check(qubit, where)
    return qubit


def _value(key: str, value: object, where: str) -> Any:
    if key in ("chan_I", "chan_Q"):
        return int(_positive(value, where))
    if not key.startswith("iq_"):
        return number(value, where)
    size = 3 if key == "iq_sigma" else 2
    if not isinstance(value, list | tuple) or len(value) != size:
        raise ConfigError(f"expected a list of {size} numbers, got {value!r}", where=where)
    return tuple(number(entry, f"{where}/{at}") for at, entry in enumerate(value))


def number(value: object, where: str) -> float:
    """Return a configuration's value as a float; what is no number is a `ConfigError` at `where`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"expected a number, got {value!r}", where=where)
    return float(value)


def _positive(value: object, where: str) -> float:
    found = number(value, where)
    if found < 0:
        raise ConfigError(f"expected a number that is not negative, got {found!r}", where=where)
    return found


def _seed(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        rule = f"expected null or a whole number that is not negative, got {value!r}"
        raise ConfigError(rule, where="simulator/seed")
    return value


def _check(qubit: Qubit, where: str) -> None:
    if not qubit.t1 > 0:
        raise ConfigError(f"t1 must be longer than 0 s, is {qubit.t1!r}", where=f"{where}/t1")
    if not 0 < qubit.t2 <= 2 * qubit.t1 * (1 + 1e-9):
        rule = f"t2 must lie between 0 and 2 t1 = {2 * qubit.t1:g} s, is {qubit.t2!r}"
        raise ConfigError(rule, where=f"{where}/t2", hint="relaxation alone limits t2 to twice t1")
    for key in ("thermal_population", "flip_0_to_1", "flip_1_to_0"):
        if not 0 <= getattr(qubit, key) <= 0.5:
            rule = f"{key} must lie between 0 and 0.5, is {getattr(qubit, key)!r}"
            raise ConfigError(rule, where=f"{where}/{key}")
    if not qubit.kappa > 0:
        raise ConfigError(f"kappa must be larger than 0 Hz, is {qubit.kappa!r}", where=f"{where}/kappa")
    if qubit.detuning_noise < 0 or min(qubit.iq_sigma) < 0:
        raise ConfigError("detuning_noise and iq_sigma must not be negative", where=where)
