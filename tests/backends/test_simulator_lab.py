"""Real configurations, experiments as users write them, the lab's own chain: fitted numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import curve_fit

from qtrl_spool import experiments
from qtrl_spool.axes import InMemory
from qtrl_spool.backends import Measurement
from qtrl_spool.backends.simulator import Simulator, simulator_document
from qtrl_spool.backends.simulator.chip import chip_of
from qtrl_spool.backends.simulator.groups import Played
from qtrl_spool.config import AcquisitionSettings, load_config
from qtrl_spool.processing import process, readout_labels
from qtrl_spool.sequence import trigger_samples

SHIPPED = Path(__file__).parents[2] / "configs"


def expected(config, sequence, name: str) -> np.ndarray:
    """Return the population of level 1 at the last trigger, without noise [element]."""
    program = sequence.compile(config.pulses).program
    chip = chip_of(config.get("simulator") or simulator_document(config))
    triggers = trigger_samples(program, config.pulses)
    played = Played(program, chip, triggers, config["variables/hardware/qubit_LO"])
    return played.solved(name).populations(name)[:, 1]


def processed(config, sequence, n_reps: int = 1000):
    """Run a sequence on the simulator and the configuration's own chain."""
    config = config.merged({"adc": {"acquisition_settings": {"n_reps": n_reps}}})
    program = sequence.compile(config.pulses).program
    triggers = trigger_samples(program, config.pulses)
    keys = sequence.pulse_keys()
    labels = tuple(label for label in readout_labels(config.adc) if f"Readout/{label}" in keys)
    settings = AcquisitionSettings.of(config, n_elements=sequence.n_elements, n_triggers=triggers.shape[1])
    backend = Simulator()
    backend.arm(backend.prepare(Measurement(program, config, settings, triggers, labels)))
    iq = backend.acquire(0, lambda: False).iq
    return process(InMemory((iq,)), config.adc, readouts=labels, x_axis=np.asarray(sequence.x_axis))


def seeded(folder: Path):
    """Return a lab's configuration as `init` leaves it, with a seed: the document is new to it."""
    config = load_config(folder)
    return config.merged({"simulator": {"$new": {**simulator_document(config), "seed": 11}}})


def cosine(x, offset, height, frequency, phase):
    return offset + height * np.cos(2 * np.pi * frequency * x + phase)


@pytest.fixture(params=["five-qubit-chip", "reference", "shipped"])
def anywhere(request, lab_config):
    """Return a configuration and a qubit of it, for each of the three chips."""
    if request.param == "shipped":
        return load_config(SHIPPED), 0
    return load_config(lab_config.parent / request.param), 6


def rabi_period(config, amplitude: float) -> float:
    config = config.merged({"variables": {"Q6": {"rabi_amp": amplitude}}})
    widths = np.arange(51) * 6e-9
    seen = expected(config, experiments.rabi(6, n_elements=51, step_size=6e-9), "Q6")
    (_, _, frequency, _), _ = curve_fit(cosine, widths, seen, [0.5, -0.5, 1e7 * amplitude / 0.15, 0])
    return float(1 / frequency)


def test_the_labs_q6_turns_once_in_99_ns_of_width(lab_config):
    assert rabi_period(load_config(lab_config), 0.15) == pytest.approx(99.2e-9, rel=0.01)


@pytest.mark.parametrize("amplitude", [0.1, 0.2, 0.3])
def test_the_labs_q6_turns_as_fast_as_it_is_driven(lab_config, amplitude):
    assert rabi_period(load_config(lab_config), amplitude) == pytest.approx(
        99.2e-9 * 0.15 / amplitude, rel=0.02
    )


def test_relaxation_is_the_chips_t1(anywhere):
    config, q = anywhere
    waits = np.arange(16) * 6e-6
    seen = expected(config, experiments.t1(q, n_elements=16, step_size=6e-6), f"Q{q}")
    (_, _, t1), _ = curve_fit(lambda t, a, c, tau: c + a * np.exp(-t / tau), waits, seen, [0.9, 0.0, 3e-5])
    chip = chip_of(config.get("simulator") or simulator_document(config))
    # Heating to level 2 makes it seem a little shorter where the chip is warm.
    assert t1 == pytest.approx(chip.qubits[f"Q{q}"].t1, rel=0.04)


def ramsey(config, q: int, n: int = 40):
    waits = np.arange(n) * 0.3e-6
    return waits, expected(
        config, experiments.ramsey(q, n_elements=n, step_size=0.3e-6, detune=0.5e6), f"Q{q}"
    )


def damped(t, offset, height, frequency, phase, tau):
    return offset + height * np.exp(-t / tau) * np.cos(2 * np.pi * frequency * t + phase)


def test_the_ramsey_fringe_is_the_artificial_detuning(anywhere):
    waits, seen = ramsey(*anywhere)
    (_, _, frequency, _, _), _ = curve_fit(damped, waits, seen, [0.5, 0.5, 0.5e6, 0, 2e-5])
    assert frequency == pytest.approx(0.5e6, rel=0.02)


def test_a_patched_drive_frequency_shows_in_the_ramsey_fringe():
    config = load_config(SHIPPED)
    moved = config.merged({"variables": {"Q0": {"freq": config["variables/Q0/freq"] - 0.2e6}}})
    waits, seen = ramsey(moved, 0)
    (_, _, frequency, _, _), _ = curve_fit(damped, waits, seen, [0.5, 0.5, 0.6e6, 0, 2e-5])
    assert abs(frequency - 0.5e6) == pytest.approx(0.2e6, rel=0.03)


def test_an_echo_outlives_ramsey(anywhere):
    config, q = anywhere
    kwargs = {"n_elements": 8, "detune": 0.0}
    plain = expected(config, experiments.ramsey(q, step_size=4e-6, **kwargs), f"Q{q}")
    echoed = expected(config, experiments.echo(q, step_size=2e-6, **kwargs), f"Q{q}")
    assert np.all(np.abs(echoed - 0.5)[2:] > np.abs(plain - 0.5)[2:] + 0.01)


@pytest.mark.parametrize("q", [0, 1, 2, 3])
def test_all_xy_is_a_staircase_on_the_shipped_chip(q):
    config = load_config(SHIPPED)
    calm = {"t1": 1e3, "t2": 1e3, "thermal_population": 0.0, "detuning_noise": 0.0}
    config = config.merged({"simulator": {"chip": {f"Q{q}": calm}}})
    seen = expected(config, experiments.all_xy(q), f"Q{q}")
    assert np.max(np.abs(seen - np.repeat([0.0, 0.5, 1.0], [10, 24, 8]))) < 0.01


def test_the_labs_own_chain_finds_the_labs_own_rabi(lab_config):
    config = seeded(lab_config)
    done = processed(config, experiments.rabi(6, n_elements=41, step_size=5e-9, herald=True))
    seen = done.variables["population"].values[0, 1]
    (offset, height, frequency, _), _ = curve_fit(cosine, np.arange(41) * 5e-9, seen, [0.5, -0.5, 1e7, 0])
    assert 1 / frequency == pytest.approx(99.2e-9, rel=0.015)
    assert [offset, abs(height)] == pytest.approx([0.5, 0.5], abs=0.03)


def test_a_herald_takes_the_thermal_excitation_away(lab_config):
    config = seeded(lab_config)
    ground = [
        processed(config, experiments.pi_no_pi(6, herald=herald), 4000)
        .variables["population"]
        .values[0, 1, 0]
        for herald in (False, True)
    ]
    assert ground[0] == pytest.approx(0.03, abs=0.01)
    assert ground[1] < ground[0] / 2


def test_qubits_that_are_driven_together_do_what_each_does_alone():
    config = load_config(SHIPPED)
    together = experiments.rabi([0, 2], n_elements=21, step_size=6e-9)
    for q in (0, 2):
        alone = experiments.rabi(q, n_elements=21, step_size=6e-9)
        assert expected(config, together, f"Q{q}") == pytest.approx(
            expected(config, alone, f"Q{q}"), abs=1e-6
        )
