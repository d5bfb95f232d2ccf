"""Makes the document `simulator`: the chip that a lab's own configuration describes.

Done once, when a spool is made. What the configuration says is taken as true and calibrated: the
area of X180 is half a turn, the classifier's means are where the levels lie, and ``readout/corr_matrix``
holds the errors of the readout. Where it says nothing, ordinary values are taken. Drive crosstalk is
the opposite of what the lab plays against it (``Q5/crosstalk/Q6``), and ``common/ZZ`` names the pairs
that shift each other; other couplings are there, and zero.

Called by `qtrl_spool.create`, and by `Simulator.prepare` for a configuration without the document. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import erfc, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from qtrl_spool.backends.simulator.chip import LEVELS, Qubit, number
from qtrl_spool.backends.simulator.probes import probe_of, tones_of
from qtrl_spool.backends.simulator.resonator import Field, Probe, Window, field_of
from qtrl_spool.errors import SequenceError
from qtrl_spool.experiments.readout import TRIGGER_DELAY
from qtrl_spool.sequence import Program, Sequence
from qtrl_spool.sequence.lists import groups_of

if TYPE_CHECKING:
    from qtrl_spool.config import Configuration
    from qtrl_spool.sequence import Pulse

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
READOUT_CHANNELS = (8, 9)
IQ_RADIUS = 300.0
"""Size of the signal of a resonator on resonance where there is no classifier, units of the ADC."""
IQ_SIGMA = 40.0
SIGMA_WINDOW = 1e-6
"""s, the integration that ``iq_sigma`` holds for."""
READOUT_AMPLITUDE = 0.06
MOST_LISTED = 10
"""Qubits up to which every pair is listed, with zeros; on a larger chip only what is configured."""


def simulator_document(config: Configuration) -> dict[str, Any]:
    """Return the document `simulator` for a chip that a configuration describes well.

    Parameters
    ----------
    config:
        The default configuration of a spool.

    Returns
    -------
    dict
        Plain numbers, lists and mappings, ready to be written as YAML. A qubit is a group of the
        variables named ``Q<label>`` with a ``freq``.
    """
    variables: Mapping[Any, Any] = config.get("variables", {})
    names = [str(name) for name, group in variables.items() if _is_qubit(name, group)]
    return {
        "seed": None,
        "noise": 1.0,
        "batch_s": 0.0,
        "chip": {name: _describe(name, variables[name], names, config) for name in names},
        "pairs": _pairs(names, config),
    }


def _is_qubit(name: object, group: object) -> bool:
    return str(name)[:1] == "Q" and isinstance(group, Mapping) and isinstance(group.get("freq"), int | float)


def _describe(name: str, group: Mapping[str, Any], names: list[str], config: Configuration) -> dict[str, Any]:
    pulse = _components(f"{name}/X180", config)
    chosen = {key: float(group.get(key, value)) for key, value in DEFAULTS.items()}
    chosen["drive_rate"] = _drive_rate(pulse, chosen["drive_rate"])
    found = {
        "freq": float(group["freq"]),
        **{key: chosen[key] for key in DEFAULTS if not key.startswith(("res_", "chi", "kappa"))},
        **_channels(group, "chan", pulse, (0, 1)),
        "crosstalk": _crosstalk(name, names, config),
        **{key: chosen[key] for key in ("res_freq", "chi", "kappa")},
        **_channels(group, "res_chan", _components(f"Readout/R{name[1:]}", config), READOUT_CHANNELS),
    }
    return found | _readout(name, found, config) | {"readout_crosstalk": _zeros(name, names)}


def _zeros(name: str, names: list[str]) -> dict[str, float]:
    return {other: 0.0 for other in names if other != name and len(names) <= MOST_LISTED}


# -- drives and couplings ----------------------------------------------------------------------------


def _components(key: str, config: Configuration) -> list[Pulse]:
    """Return the real, analog components of a stored pulse, one after the other."""
    stored = config.pulses.get(key, None)
    groups = groups_of(stored) if stored else ()
    return [part for group in groups for part in group if not part.is_virtual and part.subchannel == 0]


def _channels(
    group: Mapping[str, Any], key: str, pulse: list[Pulse], otherwise: tuple[int, int]
) -> dict[str, int]:
    played = [part.channel for part in pulse[:2]] + list(otherwise[len(pulse[:2]) :])
    return {f"{key}_{part}": int(group.get(f"{key}_{part}", played[at])) for at, part in enumerate("IQ")}


def _drive_rate(pulse: list[Pulse], otherwise: float) -> float:
    """Return the Rabi frequency at full scale that makes `pulse` a half turn, Hz, or `otherwise`."""
    program = _compiled(pulse[:1])
    if program is None:
        return otherwise
    area = abs(complex(np.sum(program.samples, dtype=np.complex128))) / program.sample_rate
    return round(0.5 / area, -3) if area else otherwise


def _compiled(pulse: list[Pulse]) -> Program | None:
    """Return what a pulse plays; None if it has no components, or a variable of it is not there."""
    if not pulse:
        return None
    drawn = Sequence(n_elements=1)
    drawn.append(list(pulse))
    try:
        return drawn.compile().program
    except SequenceError:  # said when a job plays it
        return None


def _crosstalk(name: str, names: list[str], config: Configuration) -> dict[str, dict[str, float]]:
    """Return what reaches a qubit from each other one: the opposite of what is played on its line for it."""
    found = {}
    for other in names:
        against = config.get(f"variables/{other}/crosstalk/{name}", None)
        if other == name or (against is None and len(names) > MOST_LISTED):
            continue
        amp, phase = (_number_of(against, key) for key in ("amp", "phase"))
        found[other] = {"amp": amp, "phase": round(phase - np.pi, 6) if amp else 0.0}
    return found


def _number_of(group: object, key: str) -> float:
    value = group.get(key, 0.0) if isinstance(group, Mapping) else 0.0
    return float(value) if isinstance(value, int | float) else 0.0


def _pairs(names: list[str], config: Configuration) -> dict[str, dict[str, float]]:
    shifts = config.get("variables/common/ZZ", None)
    named = {str(key): float(value) for key, value in shifts.items()} if isinstance(shifts, Mapping) else {}
    found = {}
    for first, second in combinations(names, 2):
        spelled = (first[1:] + second[1:], second[1:] + first[1:])
        zz = next((named[key] for key in spelled if key in named), None)
        if zz is not None or len(names) <= MOST_LISTED:
            found[f"{first}-{second}"] = {"zz": zz or 0.0, "cr": 0.0, "cr_back": 0.0}
    return found


# -- the readout -------------------------------------------------------------------------------------


def _readout(name: str, found: Mapping[str, Any], config: Configuration) -> dict[str, Any]:
    """Return the signal and the errors of a readout that the classifier and the correction describe."""
    window = window_of(name, config)
    probe = _probe(name, found, window, config)
    points, sigma = _blobs(name, config)
    settled = _settled(found, window, probe, points)
    described = settled | {
        "iq_sigma": [round(width * sqrt(window.duration / SIGMA_WINDOW), 2) for width in sigma]
    }
    flips = _flips(name, _bare(found, **described), window, probe, config)
    return described | {"flip_0_to_1": round(flips[0], 5), "flip_1_to_0": round(flips[1], 5)}


def _bare(found: Mapping[str, Any], **known: Any) -> Qubit:
    """Return the qubit as far as it is described, with a signal of 1 where it is not."""
    signal = {"iq_signal": (1.0, 0.0), "iq_background": (0.0, 0.0), "iq_sigma": (0.0,) * LEVELS}
    flips = {"flip_0_to_1": 0.0, "flip_1_to_0": 0.0}
    return Qubit(**{**signal, **flips, **found, **known, "crosstalk": {}, "readout_crosstalk": {}})


def window_of(name: str, config: Configuration) -> Window:
    """Return the digitizer's window for the readout of a qubit."""
    step, index = enabled_steps(config).get("Heterodyne", {}), _label(name, config)
    frequencies = step.get("frequencies", [])
    configured = index is not None and index < len(frequencies)
    path = f"variables/{name}/res_mod_freq"
    at = frequencies[index] if configured else config.get(path, 0.0)
    mixed = "variables/hardware/readout_LO"
    return Window(
        n_points=int(config.get("adc/acquisition_settings/points", 1024)),
        sample_rate=number(config.get("adc/hardware_settings/sample_rate", 1e9), "adc/hardware_settings"),
        demodulated=number(at, f"the Heterodyne step's frequency of R{name[1:]}" if configured else path),
        mixed=number(config.get(mixed, 0.0), mixed),
    )


def _probe(name: str, found: Mapping[str, Any], window: Window, config: Configuration) -> Probe:
    """Return the lab's own readout pulse, one at the right frequency where it has none that is heard."""
    program = _compiled(_components(f"Readout/R{name[1:]}", config))
    if program is not None:
        tones = tones_of(program, _bare(found), name, {name: window.demodulated})
        probe = probe_of(program, tones, round(TRIGGER_DELAY * program.sample_rate))
        if np.any(probe.pulse):
            return probe
    first = -round(TRIGGER_DELAY * window.sample_rate)
    turns = window.demodulated / window.sample_rate * np.arange(window.n_points - first)
    return Probe(READOUT_AMPLITUDE * np.exp(2j * np.pi * turns), first, window.sample_rate)


def _settled(
    found: Mapping[str, Any], window: Window, probe: Probe, points: list[complex] | None
) -> dict[str, list[float]]:
    """Return the signal that puts the integrated points of levels 0 and 1 where they belong."""
    if points is None:
        reach = IQ_RADIUS / float(np.max(np.abs(probe.pulse)))
        return {"iq_signal": [round(reach, 1), 0.0], "iq_background": [0.0, 0.0]}
    shifted = field_of(_bare(found), window, probe).means
    still = field_of(_bare(found, iq_signal=(0.0, 0.0), iq_background=(1.0, 0.0)), window, probe).means[0]
    apart = shifted[1] - shifted[0]
    signal = (points[1] - points[0]) / apart if abs(apart) > 1e-9 else 0j
    background = (points[0] - signal * shifted[0]) / still
    return {"iq_signal": _rounded(signal), "iq_background": _rounded(background)}


def _rounded(point: complex) -> list[float]:
    return [round(float(point.real), 1), round(float(point.imag), 1)]


def _blobs(name: str, config: Configuration) -> tuple[list[complex] | None, list[float]]:
    """Return the IQ points of levels 0 and 1 before rotation, if configured, and each level's width."""
    index, steps = _label(name, config), enabled_steps(config)
    classifier = steps.get("GMM", {})
    means = classifier.get("means", [])
    if index is None or not isinstance(means, list) or len(means) <= index:
        return None, [IQ_SIGMA] * LEVELS
    i0, q0, i1, q1 = (float(value) for value in means[index][:4])
    angles = steps.get("IQRotation", {}).get("angles", [])
    back = np.exp(-1j * float(angles[index])) if len(angles) > index else 1.0
    spread = classifier.get("covariances", [])
    variances = spread[index] if len(spread) > index else [IQ_SIGMA**2] * 2
    sigma = [sqrt(float(np.mean(np.diagonal(np.atleast_2d(value))))) for value in variances]
    sigma += [sigma[-1]] * (LEVELS - len(sigma))
    return [complex(complex(i0, q0) * back), complex(complex(i1, q1) * back)], sigma[:LEVELS]


def _flips(
    name: str, qubit: Qubit, window: Window, probe: Probe, config: Configuration
) -> tuple[float, float]:
    """Return the errors of ``corr_matrix`` that neither overlap nor jumps during the readout explain."""
    index = _label(name, config)
    matrix = config.get("variables/readout/corr_matrix", [])
    if index is None or len(matrix) <= index:
        return 0.0, 0.0
    total = float(matrix[index][2]), float(matrix[index][1])
    field = field_of(qubit, window, probe)
    narrow = sqrt(SIGMA_WINDOW / window.duration)
    down, up = qubit.rates
    explained = [
        _mistaken(field, level, rate / window.sample_rate, qubit.iq_sigma[level] * narrow)
        for level, rate in ((0, up), (1, down))
    ]
    return _beyond(total[0], explained[0]), _beyond(total[1], explained[1])


def _mistaken(field: Field, level: int, rate: float, sigma: float) -> float:
    """Return how often level 0 or 1 is taken for the other: it jumps at `rate` per sample, and scatters."""
    when = np.arange(field.n_points + 1)
    chance = np.append(-np.expm1(-rate) * np.exp(-rate * when[:-1]), np.exp(-rate * field.n_points))
    steps = np.column_stack([np.zeros_like(when), when])
    points = field.points(np.tile([level, 1 - level], (len(when), 1)), steps)
    here, there = field.means[level], field.means[1 - level]
    axis = (there - here) / max(abs(there - here), 1e-300)
    beyond = (np.real((points - (here + there) / 2) * axis.conjugate())) / max(sigma, 1e-300)
    return float(sum(p * erfc(-x / sqrt(2)) / 2 for p, x in zip(chance, beyond, strict=True)))


def _beyond(total: float, explained: float) -> float:
    return max(0.0, (total - explained) / (1 - 2 * explained)) if explained < 0.5 else 0.0


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
