"""The field of a readout resonator: ring-up, levels, jumps, and the pulse that drives it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from handmade import qubit
from scipy.optimize import curve_fit

from qtrl_spool import experiments
from qtrl_spool.backends.simulator import simulator_document
from qtrl_spool.backends.simulator.chip import chip_of
from qtrl_spool.backends.simulator.describe import window_of
from qtrl_spool.backends.simulator.probes import fields_of, tones_of
from qtrl_spool.backends.simulator.resonator import Field, Probe, Window, field_of
from qtrl_spool.config import load_config
from qtrl_spool.sequence import trigger_samples

SHIPPED = Path(__file__).parents[2] / "configs"
MOD, LO = 100e6, 6.4e9
WINDOW = Window(n_points=1000, sample_rate=1e9, demodulated=MOD, mixed=LO)


def square(n: int = 4000, amplitude: float = 0.05, first: int = 0, rate: float = 1e9) -> Probe:
    """Return a readout pulse at the frequency of `qubit`'s resonator, without edges."""
    carrier = np.exp(2j * np.pi * MOD / rate * (first + np.arange(n)))
    return Probe(amplitude * carrier, first, rate)


def followed(of, levels: np.ndarray, probe: Probe, fine: int = 20) -> np.ndarray:
    """Return the field by Euler's method, the level given for each sample; the drive a sample at a time."""
    field, found = 0j, np.zeros(len(levels), dtype=complex)
    for at, level in enumerate(levels):
        found[at] = field
        drive = probe.pulse[at] * np.exp(-2j * np.pi * MOD / 1e9 * at)
        away = of.res_freq + of.chi * (1 - 2 * level) - LO - MOD
        for _ in range(fine):
            slope = -(np.pi * of.kappa + 2j * np.pi * away) * field + np.pi * of.kappa * drive
            field += slope * 1e-9 / fine
    return found


def test_a_resonator_rings_up_with_its_line_width():
    field = field_of(qubit(chi=0.0, kappa=2e6), WINDOW, square()).field[0].real
    times = np.arange(1001) * 1e-9
    (height, rate), _ = curve_fit(
        lambda t, h, r: h * (1 - np.exp(-r * t)), times[:-1], field[:-1], [0.05, 5e6]
    )
    assert height == pytest.approx(0.05, rel=1e-6)
    assert rate == pytest.approx(np.pi * 2e6, rel=1e-6)


def test_each_level_settles_where_a_resonator_of_that_detuning_does():
    long = replace(WINDOW, n_points=6000)
    of = qubit(chi=-0.4e6, kappa=1.5e6)
    settled = field_of(of, long, square(8000)).field[:, -1].conj() / 0.05
    assert settled == pytest.approx([1 / (1 + 2j * of.chi * x / of.kappa) for x in (1, -1, -3)], abs=1e-6)


def test_the_signal_is_in_units_of_the_adc_per_full_scale():
    of = qubit(chi=0.0, kappa=5e6, iq_signal=(4000.0, 0.0), iq_background=(0.0, 1000.0))
    last = field_of(of, WINDOW, square()).signal[0, -1]
    assert last == pytest.approx((4000 + 1000j) * 0.05, rel=1e-4)


def test_a_probe_that_is_twice_as_strong_gives_twice_the_signal():
    weak, strong = (field_of(qubit(), WINDOW, square(amplitude=a)).means for a in (0.03, 0.06))
    assert strong == pytest.approx(2 * weak)


def test_a_probe_off_resonance_sees_less():
    on, off = (field_of(qubit(res_freq=LO + MOD + away), WINDOW, square()).field for away in (0.0, 8e6))
    assert abs(off[0, -1]) < 0.2 * abs(on[0, -1])


def test_the_field_rings_down_after_the_pulse():
    field = field_of(qubit(chi=0.0, kappa=2e6), WINDOW, square(400)).field[0]
    assert abs(field[800] / field[500]) == pytest.approx(np.exp(-np.pi * 2e6 * 300e-9), rel=1e-6)


def test_a_pulse_before_the_window_has_rung_up_already():
    early = field_of(qubit(), WINDOW, square(first=-3000)).field
    assert np.max(np.abs(np.diff(early[:, :100]))) < 1e-6


@pytest.mark.parametrize("jump", [1, 300, 999])
def test_a_jump_leaves_the_field_as_it_is_and_changes_where_it_tends_to(jump):
    of = qubit(kappa=1e6, iq_background=(0.0, 0.0), iq_signal=(1.0, 0.0))
    field = field_of(of, WINDOW, square())
    direct = followed(of, np.repeat([1, 0], [jump, 1000 - jump]), square()).conj()
    seen = field.trajectories(np.array([[1, 0]]), np.array([[0, jump]]))[0]
    assert seen == pytest.approx(direct, abs=3e-5)


def test_the_point_of_a_shot_is_the_mean_of_its_trajectory():
    field = field_of(qubit(), WINDOW, square())
    levels = np.array([[1, 0, 0], [2, 1, 0], [0, 1, 0], [1, 2, 1]])
    jumps = np.array([[0, 400, 1000], [0, 100, 700], [0, 1, 2], [0, 999, 1000]])
    assert field.points(levels, jumps) == pytest.approx(field.trajectories(levels, jumps).mean(axis=1))


def test_a_generator_and_a_digitizer_may_run_at_different_rates():
    fast = field_of(qubit(), WINDOW, square(2500, rate=2.5e9))
    same = field_of(qubit(), WINDOW, square(1000))
    assert fast.means == pytest.approx(same.means, rel=2e-3)


def of_the_lab(config, q: int) -> tuple[tuple[Field, ...], np.ndarray]:
    """Return the fields of a readout in a Rabi experiment with a herald, and how each trigger is turned."""
    chip = chip_of(config.get("simulator") or simulator_document(config))
    seq = experiments.rabi(q, n_elements=11, step_size=13e-9, herald=True, readout=chip_readouts(config))
    program = seq.compile(config.pulses).program
    frequencies = {name: window_of(name, config).demodulated for name in chip.qubits}
    of, window = chip.qubits[f"Q{q}"], window_of(f"Q{q}", config)
    tones = tones_of(program, of, f"Q{q}", frequencies)
    fields, number, turn = fields_of(program, tones, trigger_samples(program, config.pulses), of, window)
    assert number.shape == (11, 2)
    assert len(fields) == 2
    return fields, turn


def chip_readouts(config) -> list[str]:
    labels = config["adc/processing/00_simple_readout/00_heterodyne/kwargs/freq_labels"]
    return [f"Q{label}" for label in labels]


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_the_levels_of_the_lab_lie_where_its_classifier_has_them(lab_config, place):
    config = load_config(lab_config)
    steps = config["adc/processing/00_simple_readout"]
    mean, angle = steps["055_GMM/kwargs/means"][place], steps["02_rotate_IQ/kwargs/angles"][place]
    for field in of_the_lab(config, (5, 6, 7, 0)[place])[0]:
        turned = field.means[:2] * np.exp(1j * angle)
        assert turned == pytest.approx([complex(*mean[:2]), complex(*mean[2:])], abs=0.5)


def test_a_readout_pulse_is_recognised_by_its_frequency_when_all_play_on_one_line():
    strong = load_config(SHIPPED).merged({"variables": {"readout/R2_amp": 0.12}})
    weak = load_config(SHIPPED)
    ratio = [of_the_lab(strong, q)[0][0].means[0] / of_the_lab(weak, q)[0][0].means[0] for q in (0, 1, 2, 3)]
    assert ratio == pytest.approx([1, 1, 2, 1], abs=1e-3)


def with_carriers(config):
    """Return the configuration with a readout of Q2 whose pulse is bare, on a carrier that runs on."""

    def part(at: int) -> dict:
        kwargs = {"amplitude": 0.06, "phase": -np.pi / 2 * (1 + at)}
        properties = {"env_func": "square", "width": 1e-6, "kwargs": kwargs}
        envelope = {"type": "PulseEnvelope", "properties": properties}
        return {"channel": 8 + at, "subchannel": 0, "freq": "Q2/res_mod_freq", "envelope": envelope}

    return config.merged({"pulses": {"Readout/R2": {"$replace": [part(0), part(1)]}}})


def test_a_readout_pulse_on_a_running_carrier_is_recognised_too_and_turns_with_its_start():
    config = load_config(SHIPPED)
    (here, still), (there, turn) = (of_the_lab(which, 2) for which in (config, with_carriers(config)))
    assert np.abs(there[1].means) == pytest.approx(np.abs(here[1].means), rel=1e-3)
    step = np.exp(-2j * np.pi * config["variables/Q2/res_mod_freq"] * 13e-9)
    assert np.all(still == 1)
    assert turn[1:, 1] / turn[:-1, 1] == pytest.approx(np.full(10, step), abs=1e-6)


def test_a_probe_that_a_patch_detunes_turns_and_weakens_the_signal():
    config = load_config(SHIPPED)
    moved = config.merged({"variables": {"Q1/res_freq": config["variables/Q1/res_freq"] + 3e6}})
    here, there = (of_the_lab(which, 1)[0][0].means for which in (config, moved))
    assert abs(there[1] - there[0]) < 0.5 * abs(here[1] - here[0])
