"""The experiments on the shipped chip, through the simulator and the shipped processing chain."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from qtrl_spool.axes import InMemory
from qtrl_spool.backends import Measurement
from qtrl_spool.backends.simulator import Simulator
from qtrl_spool.config import AcquisitionSettings, Configuration, load_config
from qtrl_spool.experiments import all_xy, echo, pi_no_pi, rabi, ramsey, t1
from qtrl_spool.processing import Processed, process
from qtrl_spool.sequence import SequenceWrapper, trigger_samples
from qtrl_spool.shipped import default_config_folder

QUBITS = ("Q0", "Q1", "Q2", "Q3")
READOUTS = ("R0", "R1", "R2", "R3")


@cache
def chip() -> Configuration:
    quick = {"acquisition_settings": {"n_reps": 2000, "n_batches": 1}}
    return load_config(default_config_folder()).merged({"simulator": {"seed": 11}, "adc": quick})


def measured(seq: SequenceWrapper, config: Configuration) -> Processed:
    """Acquire and process one batch of all four readouts."""
    program = seq.compile(config.pulses).program
    triggers = trigger_samples(program, config.pulses)
    settings = AcquisitionSettings.of(config, n_elements=seq.n_elements, n_triggers=triggers.shape[1])
    simulator = Simulator()
    simulator.connect()
    simulator.arm(simulator.prepare(Measurement(program, config, settings, triggers, READOUTS)))
    acquired = simulator.acquire(0, lambda: False)
    assert acquired.iq is not None
    return process(InMemory((acquired.iq,)), config.effective["adc"], readouts=READOUTS, x_axis=seq.x_axis)


def excited(done: Processed) -> Any:
    """Return the population of level 1 [readout, element]."""
    return done.variables["population"].take("level", 1).values


def test_all_xy_is_a_staircase_on_every_qubit() -> None:
    """2000 repetitions scatter by 0.011; T1 takes up to 0.004 of each step."""
    ideal = np.repeat([0.0] * 5 + [0.5] * 12 + [1.0] * 4, 2)
    deviation = excited(measured(all_xy(QUBITS, herald=True), chip())) - ideal
    assert np.abs(deviation).max() < 0.06 and np.sqrt((deviation**2).mean()) < 0.02


def test_the_readout_correction_fits_the_simulated_readout() -> None:
    prepared = excited(measured(pi_no_pi(QUBITS, herald=True), chip()))
    assert prepared == pytest.approx(np.array([[0, 1]] * 4), abs=0.02)


def test_a_rabi_oscillates_at_the_drive_rate_times_the_amplitude() -> None:
    """A raised-cosine edge counts half: the area of the drive is 1 - ramp_fraction = 0.75 of its width."""
    config = chip()
    done = measured(rabi(QUBITS, 41, 12e-9, readout=READOUTS), config)
    for row, qubit in enumerate(QUBITS):
        rate = config.simulator[f"chip/{qubit}/drive_rate"] * config.variables[f"{qubit}/rabi_amp"] * 0.75
        assert frequency(excited(done)[row], 12e-9) == pytest.approx(rate, rel=0.03)


def frequency(signal: Any, step: float) -> float:
    """Return the frequency (Hz) of an oscillation from 0: the one whose cosine matches it best."""
    times, trial = np.arange(len(signal)) * step, np.linspace(0.02, 0.3, 5601) / step
    waves = np.cos(2 * np.pi * trial[:, None] * times)
    overlap = (waves - waves.mean(1, keepdims=True)) @ (signal.mean() - signal)
    return float(trial[np.argmax(overlap / waves.std(1))])


def test_t1_decays_with_each_qubit_s_t1() -> None:
    config = chip()
    population = excited(measured(t1(QUBITS, 16, 6e-6, herald=True), config))
    times = np.arange(16) * 6e-6
    truth = np.array([np.exp(-times / config.simulator[f"chip/{qubit}/t1"]) for qubit in QUBITS])
    assert population == pytest.approx(truth, abs=0.05)


def test_a_ramsey_oscillates_at_its_artificial_detuning() -> None:
    signal = excited(measured(ramsey(QUBITS, 41, 50e-9, detune=2e6), chip()))
    assert [frequency(1 - row, 50e-9) for row in signal] == pytest.approx([2e6] * 4, rel=0.03)


def test_a_ramsey_with_a_drive_that_a_patch_moved_up_oscillates_faster() -> None:
    up = {f"{qubit}/freq": chip().variables[f"{qubit}/freq"] + 1e6 for qubit in QUBITS}
    signal = excited(measured(ramsey(QUBITS, 41, 50e-9, detune=2e6), chip().merged({"variables": up})))
    assert [frequency(1 - row, 50e-9) for row in signal] == pytest.approx([3e6] * 4, rel=0.03)


@pytest.mark.parametrize("qubits", [("Q0", "Q1", "Q2"), ("Q3",)], ids="+".join)
def test_an_echo_decays_with_each_qubit_s_t2_whatever_its_slow_noise(qubits: tuple[str, ...]) -> None:
    """Q2 and Q3 shift each other, which an echo of both does not undo: not at the same time."""
    config = chip()
    population = excited(measured(echo(qubits, 11, 3e-6, readout=QUBITS, herald=True), config))
    times = 2 * np.arange(11) * 3e-6
    for qubit in qubits:
        truth = np.exp(-times / config.simulator[f"chip/{qubit}/t2"])
        assert np.abs(2 * population[QUBITS.index(qubit)] - 1) == pytest.approx(truth, abs=0.1)
