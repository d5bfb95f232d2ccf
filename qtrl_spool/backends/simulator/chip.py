"""What the simulated chip truly is: the configuration document `simulator`, read and checked.

`describe.py` makes the document once, when a spool is made; from then on it is a document like any
other, and every value of it can be patched. A job whose patch moves ``variables/Q6/freq`` therefore
drives a qubit that stayed where it was.

`chip_of` reads it for a job, as one `Qubit` for each name and one `Pair` for each two that are
coupled. What is wrong with a value is a `ConfigError` with the path of the value; all that is wrong
is told at once. ``docs/reference/simulator.md`` tells the meaning of every key.

Pure. Known limits: couplings are between two qubits; no coupling through a third.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qtrl_spool.errors import ConfigError, did_you_mean

Point = tuple[float, float]
Read = TypeVar("Read")

LEVELS = 3
FORMER_KEYS = ("iq_0", "iq_1", "iq_2")
"""Of documents that were written before the field of the resonator was followed in time."""


@dataclass(frozen=True)
class Leak:
    """What of another qubit's drive arrives: the part of it, and by how much it is turned, rad."""

    amp: float
    phase: float

    @property
    def factor(self) -> complex:
        """The same as a complex number."""
        return complex(self.amp * np.exp(1j * self.phase))


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
        Resonator's frequency between levels 0 and 1, its shift from there for level 0 (level k shifts it
        by ``chi * (1 - 2 k)``), and its line width, Hz.
    res_chan_I, res_chan_Q:
        DAC channels of the readout.
    iq_signal, iq_background:
        What the resonator's field adds to I and Q, and what the line adds whatever the level, once they
        have settled, on resonance, units of the ADC per full scale of the readout pulse.
    iq_sigma:
        Standard deviation of I (and of Q) for each level, of a point integrated over 1 us, units of the ADC.
    flip_0_to_1, flip_1_to_0:
        Probability that the readout itself takes one level for the other.
    crosstalk:
        What arrives of the drives of other qubits, by their names.
    readout_crosstalk:
        Which part of the signals of other readouts is found in this one's, by the names of the qubits.
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
    res_chan_I: int  # noqa: N815
    res_chan_Q: int  # noqa: N815
    iq_signal: Point
    iq_background: Point
    iq_sigma: tuple[float, float, float]
    flip_0_to_1: float
    flip_1_to_0: float
    crosstalk: Mapping[str, Leak] = field(default_factory=dict)
    readout_crosstalk: Mapping[str, float] = field(default_factory=dict)

    @property
    def dephasing_rate(self) -> float:
        """Rate of the pure dephasing that is left when relaxation is taken from `t2`, 1/s."""
        return max(0.0, 1 / self.t2 - 1 / (2 * self.t1))

    @property
    def channels(self) -> tuple[int, int]:
        """DAC channels I and Q of the drive."""
        return self.chan_I, self.chan_Q

    @property
    def rates(self) -> tuple[float, float]:
        """Rates of relaxation from level 1 to 0 and of excitation from 0 to 1, 1/s; both grow with the level.

        Their sum is 1/`t1`, and their ratio keeps the thermal population.
        """
        up = self.thermal_population / self.t1
        return 1 / self.t1 - up, up

    def at_rest(self) -> NDArray[np.float64]:
        """Return the populations in thermal equilibrium [level]."""
        ratio = self.thermal_population / (1 - self.thermal_population)
        weights = ratio ** np.arange(LEVELS)
        return np.asarray(weights / weights.sum())


@dataclass(frozen=True)
class Pair:
    """Two qubits that feel each other.

    Attributes
    ----------
    first, second:
        Their names.
    zz:
        By how much the transition of one rises when the other is in level 1, Hz (twice that in level 2).
    cr, cr_back:
        Cross resonance: Rabi frequency of `second` for a drive at full scale on the line of `first` (of
        `first` on the line of `second`), Hz; the sense of the rotation is opposite unless the qubit whose
        line it is rests in level 0.
    """

    first: str
    second: str
    zz: float = 0.0
    cr: float = 0.0
    cr_back: float = 0.0

    def other(self, name: str) -> str | None:
        """Return the partner of a qubit, None if it has no part in this pair."""
        return {self.first: self.second, self.second: self.first}.get(name)


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
    pairs:
        Those whose qubits are coupled.
    """

    seed: int | None
    noise: float
    batch_s: float
    qubits: Mapping[str, Qubit]
    pairs: tuple[Pair, ...] = ()


def chip_of(document: Mapping[Any, Any]) -> Chip:
    """Read the effective document `simulator` of a job.

    Raises
    ------
    ConfigError
        With every value that is missing, of the wrong kind or impossible, each with its path.
    """
    problems: list[ConfigError] = []
    groups = {str(name): group for name, group in (document.get("chip") or {}).items()}
    qubits = _each(groups, lambda name, group: _qubit(name, group, groups), problems)
    described = {str(name): group for name, group in (document.get("pairs") or {}).items()}
    pairs = _each(described, lambda name, group: _pair(name, group, groups), problems)
    problems += _twice(pairs)
    if problems:
        first = problems[0]
        raise ConfigError(first.message, where=first.where, hint=first.hint, problems=tuple(problems))
    seed = document.get("seed")
    return Chip(
        seed=None if seed is None else _seed(seed),
        noise=_positive(document.get("noise", 1.0), "simulator/noise"),
        batch_s=_positive(document.get("batch_s", 0.0), "simulator/batch_s"),
        qubits=qubits,
        pairs=tuple(pair for pair in pairs.values() if pair.zz or pair.cr or pair.cr_back),
    )


def _each(
    groups: Mapping[str, Any], read: Callable[[str, Any], Read], problems: list[ConfigError]
) -> dict[str, Read]:
    found: dict[str, Read] = {}
    for name, group in groups.items():
        try:
            found[name] = read(name, group)
        except ConfigError as problem:
            problems.append(problem)
    return found


def _qubit(name: str, group: Any, known: Mapping[str, Any]) -> Qubit:
    where = f"simulator/chip/{name}"
    described = _mapping(group, where)
    required = [entry.name for entry in fields(Qubit) if entry.default_factory is MISSING]
    optional = {"crosstalk": _leak, "readout_crosstalk": number}
    _check_keys(described, [*required, *optional], where, "a simulated qubit")
    for key in required:
        if key not in described:
            raise ConfigError(f"the simulated qubit lacks {key!r}", where=where, hint=f"set {where}/{key}")
    values: dict[str, Any] = {key: _value(key, described[key], f"{where}/{key}") for key in required}
    for key, read in optional.items():
        values[key] = _others(name, described.get(key), f"{where}/{key}", known, read)
    qubit = Qubit(**values)
    _check(qubit, where)
    return qubit


def _pair(name: str, group: Any, known: Mapping[str, Any]) -> Pair:
    where = f"simulator/pairs/{name}"
    names = name.split("-")
    if len(names) != 2 or names[0] == names[1] or not set(names) <= set(known):
        hint = f"such as {'-'.join(list(known)[:2])}; the chip has {', '.join(known) or 'no qubits'}"
        raise ConfigError(f"{name!r} does not name two qubits of the chip", where=where, hint=hint)
    described = _mapping(group, where)
    _check_keys(described, ["zz", "cr", "cr_back"], where, "a pair")
    values = {key: number(value, f"{where}/{key}") for key, value in described.items()}
    return Pair(names[0], names[1], **values)


def _twice(pairs: Mapping[str, Pair]) -> Iterator[ConfigError]:
    for name, pair in pairs.items():
        turned = f"{pair.second}-{pair.first}"
        if turned in pairs and pair.first < pair.second:
            rule = f"{name} and {turned} are the same two qubits"
            yield ConfigError(rule, where=f"simulator/pairs/{turned}", hint="say it once")


def _others(
    name: str, value: Any, where: str, known: Mapping[str, Any], read: Callable[[Any, str], Any]
) -> dict[str, Any]:
    """Return what a document says of the other qubits, by their names."""
    found = {} if value is None else _mapping(value, where)
    others = [other for other in known if other != name]
    _check_keys(found, others, where, "what comes from other qubits")
    return {other: read(entry, f"{where}/{other}") for other, entry in found.items()}


def _leak(value: Any, where: str) -> Leak:
    described = _mapping(value, where)
    _check_keys(described, ["amp", "phase"], where, "crosstalk")
    amp, phase = (number(described.get(key, 0.0), f"{where}/{key}") for key in ("amp", "phase"))
    return Leak(amp, phase)


def _check_keys(group: Mapping[str, Any], known: list[str], where: str, what: str) -> None:
    for key in group:
        if key in FORMER_KEYS:
            rule = f"{what} has no {key!r} any more: it follows from iq_signal, iq_background, chi and kappa"
            hint = "the document is of an earlier version; take the one that init writes in an empty folder"
            raise ConfigError(rule, where=f"{where}/{key}", hint=hint)
        if key not in known:
            hint = did_you_mean(key, known) or f"there are {', '.join(known)}"
            raise ConfigError(f"{what} has no {key!r}", where=f"{where}/{key}", hint=hint)


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"expected a mapping, got {value!r}", where=where)
    return {str(key): entry for key, entry in value.items()}


def _value(key: str, value: object, where: str) -> Any:
    if "chan_" in key:
        return int(_positive(value, where))
    if not key.startswith("iq_"):
        return number(value, where)
    size = LEVELS if key == "iq_sigma" else 2
    if not isinstance(value, list | tuple) or len(value) != size:
        raise ConfigError(f"expected a list of {size} numbers, got {value!r}", where=where)
    return tuple(number(entry, f"{where}/{at}") for at, entry in enumerate(value))


def number(value: object, where: str) -> float:
    """Return a configuration's value as a float; what is no finite number is a `ConfigError` at `where`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
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
