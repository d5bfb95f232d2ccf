"""The experiments of the textbooks on the simulator: each ends in a fitted number beside its expectation.

Run as ``python -m tests.backends.textbook`` for the table. Everything goes the whole way: a sequence
of pulse keys, compiled, played by the simulated chip, read out with noise, classified and corrected
by the shipped processing chain, fitted. `test_simulator_textbook` asserts every line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from qtrl_spool import experiments
from qtrl_spool.axes import InMemory
from qtrl_spool.backends import Measurement
from qtrl_spool.backends.simulator import Simulator
from qtrl_spool.config import AcquisitionSettings, Configuration, load_config
from qtrl_spool.experiments.benchmarking import cliffords
from qtrl_spool.processing import process
from qtrl_spool.sequence import SequenceWrapper, trigger_samples
from qtrl_spool.shipped import default_config_folder

Row = NDArray[np.float64]

RAMPS = 0.75
"""Area of a pulse with raised-cosine edges of a quarter of its width each, of the square's."""


@dataclass(frozen=True)
class Check:
    """One line of the table.

    Attributes
    ----------
    name, unit:
        What is fitted, and in what.
    expected, fitted, error:
        The number of the chip, the fitted one, and the standard error of that.
    tolerance:
        What is left out of the expectation, relative to it: the other imperfections of the chip.
    """

    name: str
    unit: str
    expected: float
    fitted: float
    error: float
    tolerance: float = 0.01

    @property
    def agrees(self) -> bool:
        """Whether the fit is where it should be, within four standard errors and the tolerance."""
        return abs(self.fitted - self.expected) <= 4 * self.error + self.tolerance * abs(self.expected)


def chip(patch: Mapping[str, Any] | None = None, n_reps: int = 2000, **documents: Any) -> Configuration:
    """Return the shipped configuration with a seed, and some of its documents patched."""
    quick = {"n_reps": n_reps, "n_batches": 1, **documents.pop("settings", {})}
    config = load_config(default_config_folder())
    adc = {"acquisition_settings": quick, "processing/10_fitting/enable": False}
    return config.merged({"simulator": {"seed": 7, **(patch or {})}, "adc": adc, **documents})


def acquired(seq: SequenceWrapper, config: Configuration) -> tuple[Any, tuple[str, ...]]:
    """Return what the simulator measures, and the readouts."""
    program = seq.compile(config.pulses).program
    triggers = trigger_samples(program, config.pulses)
    keys = seq.pulse_keys()
    labels = tuple(f"R{at}" for at in range(4) if f"Readout/R{at}" in keys)
    settings = AcquisitionSettings.of(config, n_elements=seq.n_elements, n_triggers=triggers.shape[1])
    simulator = Simulator()
    simulator.connect()
    simulator.arm(simulator.prepare(Measurement(program, config, settings, triggers, labels)))
    return simulator.acquire(0, lambda: False), labels


def populations(seq: SequenceWrapper, config: Configuration, qubit: str) -> tuple[Row, Row]:
    """Return the population of level 1 of a qubit, and its standard error [element]."""
    data, labels = acquired(seq, config)
    done = process(InMemory((data.iq,)), config.adc, readouts=labels, x_axis=np.asarray(seq.x_axis))
    at = labels.index("R" + qubit[1:])
    seen, error = (
        done.variables[name].take("level", 1).values[at] for name in ("population", "population_err")
    )
    return seen.astype(float), np.maximum(error.astype(float), 2e-3)


def fitted(model: Callable[..., Any], x: Row, seen: tuple[Row, Row], guess: list[float]) -> tuple[Row, Row]:
    """Return the fitted parameters and their standard errors."""
    values, covariance = curve_fit(
        model, x, seen[0], guess, sigma=seen[1], absolute_sigma=True, maxfev=20_000
    )
    return values, np.sqrt(np.diag(covariance))


def cosine(x: Row, offset: float, height: float, frequency: float, phase: float) -> Row:
    return offset - height * np.cos(2 * np.pi * frequency * x + phase)


def rabi_rate() -> Iterator[Check]:
    """The Rabi frequency is proportional to the amplitude."""
    config = chip()
    rate = config.simulator["chip/Q0/drive_rate"]
    for amplitude in (0.05, 0.1, 0.2):
        strong = config.merged({"variables": {"Q0/rabi_amp": amplitude}})
        expected = rate * amplitude * RAMPS
        step = round(0.1 / expected, 9)
        seq = experiments.rabi(0, 31, step)
        widths = np.arange(31) * step
        (*_, found, _), errors = fitted(
            cosine, widths, populations(seq, strong, "Q0"), [0.5, 0.5, expected * 1.05, 0]
        )
        yield Check(f"Rabi rate, amplitude {amplitude}", "MHz", expected / 1e6, found / 1e6, errors[2] / 1e6)


def chevron() -> Iterator[Check]:
    """Off resonance a Rabi oscillation is faster, by the square root of the sum of squares.

    Level 2 lies below, so that the drive pushes the transition up: by rate^2 / (2 |anharmonicity|).
    """
    square = {f"Q0/rabi/{at}/envelope/properties/kwargs/ramp_fraction": 0.0 for at in (0, 1)}
    config = chip(pulses=square)
    detunings, n, step = np.array([-10e6, -5e6, 0.0, 5e6, 10e6]), 41, 8e-9
    rate = config.simulator["chip/Q0/drive_rate"] * config.variables["Q0/rabi_amp"]
    seen, error = populations(experiments.chevron(0, detunings.tolist(), n, step), config, "Q0")
    widths = np.tile(np.arange(n) * step, len(detunings))
    away = np.repeat(detunings, n)

    def model(x: Row, resonant: float, centre: float, scale: float) -> Row:
        effective = np.hypot(resonant, away - centre)
        return scale * (resonant / effective * np.sin(np.pi * effective * x)) ** 2

    values, errors = fitted(model, widths, (seen, error), [rate * 1.03, 0.0, 1.0])
    shift = rate**2 / (2 * abs(config.simulator["chip/Q0/anharmonicity"]))
    yield Check("chevron: Rabi rate on resonance", "MHz", rate / 1e6, values[0] / 1e6, errors[0] / 1e6)
    yield Check(
        "chevron: Stark shift of its centre", "MHz", shift / 1e6, values[1] / 1e6, errors[1] / 1e6, 0.15
    )


def relaxation() -> Iterator[Check]:
    """T1."""
    config = chip(n_reps=4000)
    waits = np.arange(21) * 7e-6
    seen = populations(experiments.t1(0, 21, 7e-6, herald=True), config, "Q0")
    (_, t1, _), errors = fitted(lambda t, a, tau, c: c + a * np.exp(-t / tau), waits, seen, [1.0, 35e-6, 0.0])
    yield Check("T1", "us", config.simulator["chip/Q0/t1"] * 1e6, t1 * 1e6, errors[1] * 1e6, 0.02)


def dephasing() -> Iterator[Check]:
    """T2* by Ramsey, T2 by an echo: slow noise shortens the first alone."""
    config = chip(n_reps=4000)
    qubit = config.simulator["chip/Q0"]
    waits = np.arange(61) * 0.7e-6
    seen = populations(experiments.ramsey(0, 61, 0.7e-6, detune=0.15e6, herald=True), config, "Q0")

    def fringe(t: Row, offset: float, height: float, frequency: float, phase: float, noise: float) -> Row:
        decay = np.exp(-t / qubit["t2"] - (2 * np.pi * noise * t) ** 2 / 2)
        return offset + height * decay * np.cos(2 * np.pi * frequency * t + phase)

    values, errors = fitted(fringe, waits, seen, [0.5, 0.5, 0.15e6, 0.0, 8e3])
    yield Check("Ramsey: fringe", "MHz", 0.15, values[2] / 1e6, errors[2] / 1e6)
    stars = [
        _to_one_e(qubit["t2"], noise) for noise in (qubit["detuning_noise"], values[4], values[4] + errors[4])
    ]
    yield Check("T2*", "us", stars[0] * 1e6, stars[1] * 1e6, abs(stars[2] - stars[1]) * 1e6, 0.02)
    seen = populations(experiments.echo(0, 21, 3e-6, herald=True), config, "Q0")
    (_, t2), errors = fitted(
        lambda t, a, tau: 0.5 + a / 2 * np.exp(-t / tau), np.arange(21) * 6e-6, seen, [-1.0, 30e-6]
    )
    yield Check("T2 by an echo", "us", qubit["t2"] * 1e6, t2 * 1e6, errors[1] * 1e6, 0.02)


def _to_one_e(t2: float, noise: float) -> float:
    """Return when exp(-t/t2 - (2 pi noise t)^2/2) has fallen to 1/e, s."""
    a, b = (2 * np.pi * noise) ** 2 / 2, 1 / t2
    return float((-b + np.sqrt(b**2 + 4 * a)) / (2 * a))


def staircase() -> Iterator[Check]:
    """AllXY: three steps; what relaxes in 80 ns and in the readout is within the tolerance."""
    config = chip(n_reps=4000)
    seen, error = populations(experiments.all_xy(0, herald=True), config, "Q0")
    for step, expected in ((slice(0, 10), 0.0), (slice(10, 34), 0.5), (slice(34, 42), 1.0)):
        mean = float(np.mean(seen[step]))
        spread = float(np.mean(error[step])) / math.sqrt(len(seen[step]))
        yield Check(f"AllXY: step at {expected}", "", expected, mean, max(spread, 1.5e-3), 0.01)


def derivative() -> Iterator[Check]:
    """The DRAG weight at which two sequences agree that a phase error drives apart: one half."""
    config = chip(n_reps=4000)
    weights = np.linspace(-0.5, 1.5, 9)
    seen, error = populations(experiments.drag(0, weights.tolist(), herald=True), config, "Q0")
    apart, spread = seen[::2] - seen[1::2], np.hypot(error[::2], error[1::2])
    line = lambda x, slope, crossing: slope * (x - crossing)  # noqa: E731
    values, errors = fitted(line, weights, (apart, spread), [0.3, 0.4])
    yield Check("DRAG: best weight", "", 0.5, values[1], errors[1], 0.05)


def train() -> Iterator[Check]:
    """A pi pulse that is 1 % too strong turns 0.01 pi too far, and a train of them adds it up."""
    config = chip(n_reps=4000)
    strong = config.merged({"variables": {"Q0/amp_180": config.variables["Q0/amp_180"] * 1.01}})
    number = np.arange(21.0)
    found = []
    for each in (config, strong):
        seen = populations(experiments.pi_train(0, 21, herald=True), each, "Q0")
        model = lambda i, e, first: 0.5 + (-1) ** i / 2 * np.sin(e * i + first)  # noqa: E731
        values, errors = fitted(model, number, seen, [0.02, 0.0])
        found.append((values[0], errors[0]))
    (still, first), (turned, second) = found
    error = math.hypot(first, second)
    yield Check("pi train: error of 1 %", "mrad", 10 * math.pi, 1e3 * (turned - still), 1e3 * error, 0.03)


def benchmarking() -> Iterator[Check]:
    """Randomized benchmarking finds the error that the coherence times set, within 20 %."""
    config = chip(n_reps=1000)
    qubit = config.simulator["chip/Q0"]
    lengths = [1, 100, 200, 400, 700]
    seen, error = populations(experiments.rb(0, lengths, 8, seed=1, herald=True), config, "Q0")
    (_, p), errors = fitted(
        lambda m, a, p: 0.5 + a * p**m, np.repeat(lengths, 8).astype(float), (1 - seen, error), [0.5, 0.998]
    )
    width = config.variables["common/pulse_length"]
    pulse = 0.5 - np.exp(-width / qubit["t1"]) / 6 - np.exp(-width / qubit["t2"]) / 3
    per_gate = pulse * np.mean([len(pulses) for _, pulses in cliffords()])
    yield Check(
        "RB: error of a Clifford gate", "1e-4", per_gate * 1e4, (1 - p) / 2 * 1e4, errors[1] / 2 * 1e4, 0.2
    )


def three_levels() -> Iterator[Check]:
    """Levels 0, 1 and 2 lie apart as the resonator's response says, and are told apart as they scatter."""
    lossless = {"t1": 1.0, "t2": 1.0, "thermal_population": 0.0, "flip_0_to_1": 0.0, "flip_1_to_0": 0.0}
    config = chip({"chip": {"Q0": lossless}}, 8000)
    qubit = config.simulator["chip/Q0"]
    data, _ = acquired(experiments.three_levels(0), config)
    points = data.iq.values[0, :, :, -1].astype(float).view(np.complex128)[..., 0]
    middles = np.array([complex(np.median(each.real), np.median(each.imag)) for each in points.T])
    size = config.variables["readout/R0_amp"] * abs(complex(*qubit["iq_signal"]))
    shifts = np.pi * qubit["kappa"] + 2j * np.pi * qubit["chi"] * (1 - 2 * np.arange(3))
    settled = size * np.array([np.pi * qubit["kappa"] / pole * _mean_ring(pole) for pole in shifts])
    sigma = np.array(qubit["iq_sigma"])
    error = np.sqrt(np.pi / 2) * sigma[1] / np.sqrt(len(points)) * math.sqrt(2)
    for one, two in ((0, 1), (1, 2)):
        expected, found = abs(settled[two] - settled[one]), abs(middles[two] - middles[one])
        yield Check(f"three levels: from {one} to {two}", "counts", expected, found, error, 0.01)
    right = float(np.mean(np.argmin(np.abs(points[:, 2, None] - middles), axis=-1) == 2))
    expected = 1 - math.erfc(abs(settled[2] - settled[1]) / 2 / sigma[2] / math.sqrt(2)) / 2
    yield Check("three levels: 2 read as 2", "", expected, right, math.sqrt(expected / len(points)), 0.01)


def _mean_ring(pole: complex) -> complex:
    """Return the mean of a field over the window, 1 when settled: a pulse of 1 us, seen from 130 ns on."""
    on, off = np.arange(130, 1000) * 1e-9, np.arange(130) * 1e-9
    rung = 1 - np.exp(-pole * on)
    return complex((rung.sum() + (1 - np.exp(-pole * 1e-6)) * np.exp(-pole * off).sum()) / 1000)


def heralding() -> Iterator[Check]:
    """A warm qubit is cold after its herald, but for what warms it up again until the sequence."""
    warm = {"chip": {"Q0": {"thermal_population": 0.08}}}
    config = chip(warm, 8000)
    t1 = config.simulator["chip/Q0/t1"]
    for herald, expected in ((False, 0.08), (True, 0.08 * (1 - np.exp(-11e-6 / t1)))):
        seen, error = populations(experiments.pi_no_pi(0, herald=herald), config, "Q0")
        name = "excited at rest, with a herald" if herald else "excited at rest, without"
        yield Check(name, "", expected, seen[0], error[0] + 3e-3, 0.05)


def shift() -> Iterator[Check]:
    """The qubit is faster by zz when its neighbour is excited, and so nearer to the detuned fringe."""
    config = chip(n_reps=2000)
    n, step, detune = 162, 0.1e-6, 0.3e6
    seen, error = populations(experiments.zz(2, 3, n, step, detune=detune, herald=True), config, "Q2")
    waits = np.arange(n // 2) * step

    lost = 1 / config.simulator["chip/Q3/t1"]

    def fringe(
        t: Row, offset: float, height: float, frequency: float, phase: float, tau: float, zz: float
    ) -> Row:
        """The neighbour relaxes while the qubit precesses, which takes the shift away."""
        shifted = -lost - 2j * np.pi * zz
        shift = np.exp(shifted * t) + lost * (np.exp(shifted * t) - 1) / shifted
        turning = np.exp(-t / tau + 1j * (2 * np.pi * frequency * t + phase))
        return offset + height * np.real(turning * np.where(zz == 0, 1.0, shift))

    def both(t: Row, *parts: float) -> Row:
        return np.concatenate([fringe(t, *parts[:5], 0.0), fringe(t, *parts)])

    joined = tuple(np.concatenate([row[::2], row[1::2]]) for row in (seen, error))
    values, errors = fitted(both, waits, joined, [0.5, 0.5, detune, 0.0, 2e-5, 5e4])
    yield Check("ZZ by Ramsey", "kHz", 60.0, values[5] / 1e3, errors[5] / 1e3, 0.02)


def resonance() -> Iterator[Check]:
    """The angle of a cross-resonance pulse grows with its width, in a sense that the control decides."""
    config = chip({"pairs": {"Q2-Q3": {"zz": 0.0}}}, variables={"Q3/CR_amp": 0.05})
    n, step = 82, 100e-9
    seq = experiments.cross_resonance(3, 2, n, step, postpulse="X90", herald=True)
    seen, error = populations(seq, config, "Q2")
    widths = np.arange(n // 2) * step
    rate = config.simulator["pairs/Q2-Q3/cr_back"] * 0.05 * RAMPS
    for first, sense in ((0, 1), (1, -1)):

        def model(w: Row, turns: float, offset: float, height: float, tau: float) -> Row:
            return offset + height * np.exp(-w / tau) * np.sin(2 * np.pi * turns * w)

        values, errors = fitted(
            model, widths, (seen[first::2], error[first::2]), [sense * rate * 1.02, 0.5, 0.5, 3e-5]
        )
        name = f"CR: turns per width, control in {first}"
        yield Check(name, "kHz", sense * rate / 1e3, values[0] / 1e3, errors[0] / 1e3, 0.03)


def ringing() -> Iterator[Check]:
    """The mean raw trace, demodulated sample by sample, rings up with the line width of the resonator."""
    # The tone of one readout alone, from its very beginning: the trigger comes with the pulse.
    config = chip(None, 400, settings={"keep_raw": True}, variables={"readout/R0_amp": 0.3})
    seq = SequenceWrapper(n_elements=4, name="ringing")
    seq.append("Readout/Trigger")
    seq.append("Readout/R0", end_delay=10e-9)
    data, _ = acquired(seq, config)
    raw = data.raw.values.astype(float).mean(axis=(1, 2, 3))
    times = np.arange(raw.shape[1]) * 1e-9
    signal = (raw[0] + 1j * raw[1]) * np.exp(2j * np.pi * config.variables["Q0/res_mod_freq"] * times)
    kappa, chi = (config.simulator[f"chip/Q0/{key}"] for key in ("kappa", "chi"))

    def model(t: Row, width: float, *parts: float) -> Row:
        ring = 1 - np.exp(-(np.pi * width - 2j * np.pi * chi) * t)
        still = 1 - np.exp(-np.pi * width * t)
        total = complex(*parts[:2]) * ring + complex(*parts[2:]) * still
        return np.concatenate([total.real, total.imag])

    both = np.concatenate([signal.real, signal.imag])
    noise = np.full(len(both), np.std(np.diff(both)) / math.sqrt(2))
    values, errors = fitted(model, times, (both, noise), [1e6, -100.0, -100.0, 100.0, 100.0])
    yield Check("ring-up: line width", "MHz", kappa / 1e6, values[0] / 1e6, errors[0] / 1e6, 0.02)


def crosstalk() -> Iterator[Check]:
    """A drive on another line, at the qubit's own frequency, turns it by the part that arrives."""
    leak = {"chip": {"Q0": {"crosstalk": {"Q1": {"amp": 0.3, "phase": 1.0}}}}}
    aimed = {f"Q1/rabi/{at}/freq": "Q0/mod_freq" for at in (0, 1)}
    config = chip(leak, pulses=aimed)
    expected = config.simulator["chip/Q0/drive_rate"] * config.variables["Q1/rabi_amp"] * RAMPS * 0.3
    step = round(0.1 / expected, 9)
    seq = experiments.rabi(1, 31, step, readout=0)
    seen = populations(seq, config, "Q0")
    (*_, found, _), errors = fitted(cosine, np.arange(31) * step, seen, [0.5, 0.5, expected * 1.05, 0])
    yield Check(
        "crosstalk: Rabi rate through another line", "MHz", expected / 1e6, found / 1e6, errors[2] / 1e6
    )


CHECKS: tuple[Callable[[], Iterator[Check]], ...] = (
    rabi_rate,
    chevron,
    relaxation,
    dephasing,
    staircase,
    derivative,
    train,
    benchmarking,
    three_levels,
    heralding,
    shift,
    resonance,
    crosstalk,
    ringing,
)


def main() -> None:
    """Print the table."""
    print(f"{'check':42s} {'unit':>7s} {'expected':>10s} {'fitted':>10s} {'error':>8s}")
    for check in (line for each in CHECKS for line in each()):
        marks = "" if check.agrees else "  differs"
        print(
            f"{check.name:42s} {check.unit:>7s} {check.expected:10.4g} {check.fitted:10.4g} "
            f"{check.error:8.2g}{marks}"
        )


if __name__ == "__main__":
    main()
