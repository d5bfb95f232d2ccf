"""Textbook physics from waveforms made by hand: every check is a fitted number."""

from __future__ import annotations

import numpy as np
import pytest
from handmade import FREQ, LO, MOD, drag, excited, half_turn, in_turn, program, qubit, solve, square
from scipy.optimize import curve_fit

RATE = 100e6
DELTA = 270e6


def rabi(amplitude: float, freq: float = MOD, step: int = 4, n: int = 50):
    return in_turn(
        [[square(step * k, amplitude)] for k in range(n)], step * n, freq
    ), step * 1e-9 * np.arange(n)


def fitted_rabi(amplitude: float, detuning: float = 0.0) -> tuple[float, float]:
    """Return the frequency, Hz, and the height of a Rabi oscillation."""
    played, width = rabi(amplitude, MOD + detuning)
    seen = excited(played, qubit(anharmonicity=-5e9))
    guess = (seen.max(), np.hypot(RATE * amplitude, detuning))
    (height, rate), _ = curve_fit(lambda t, a, f: a * np.sin(np.pi * f * t) ** 2, width, seen, guess)
    return rate, height


def half(w: int = 20, alpha: float = 0.5) -> np.ndarray:
    return half_turn(w, alpha, DELTA, RATE)


def test_the_rabi_frequency_is_proportional_to_the_amplitude():
    for amplitude in (0.05, 0.1, 0.2):
        rate, height = fitted_rabi(amplitude)
        assert rate == pytest.approx(RATE * amplitude, rel=2e-3)
        assert height == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("detuning", [-8e6, 5e6, 10e6])
def test_a_detuned_drive_makes_the_chevron_of_the_textbook(detuning):
    rate, height = fitted_rabi(0.1, detuning)
    assert rate == pytest.approx(np.hypot(RATE * 0.1, detuning), rel=3e-3)
    assert height == pytest.approx((RATE * 0.1) ** 2 / ((RATE * 0.1) ** 2 + detuning**2), rel=5e-3)


def test_the_local_oscillator_counts_as_much_as_the_modulation():
    here = excited(rabi(0.1, MOD)[0], qubit())
    there = excited(rabi(0.1, MOD - 30e6)[0], qubit(), lo=LO + 30e6)
    assert here == pytest.approx(there, abs=1e-9)


def test_an_excited_qubit_relaxes_with_t1():
    waits = np.arange(0, 60_000, 3000)
    played = in_turn([[half(), int(wait)] for wait in waits], 70_000)
    seen = solve(played, qubit(t1=20e-6, t2=15e-6), (20 + waits)[:, None]).first[:, 1]
    (t1,), _ = curve_fit(lambda t, tau: np.exp(-t / tau), waits * 1e-9, seen, [1e-5])
    assert t1 == pytest.approx(20e-6, rel=2e-3)


def test_a_qubit_at_rest_comes_to_its_thermal_population():
    found = solve(
        in_turn([[half(), 300_000]], 300_020), qubit(t1=20e-6, t2=15e-6, thermal_population=0.04)
    ).first[0]
    assert found[1] / (found[0] + found[1]) == pytest.approx(0.04, abs=1e-4)


def coherence(echo: bool, of, detuning: float = 0.0, longest: int = 30_000):
    """Return times, s, and populations of a Ramsey or an echo experiment."""
    w = 20
    quarter, turn = half_turn(w, 0.5, DELTA, RATE) / 2, half_turn(w, 0.5, DELTA, RATE)
    waits = np.linspace(0, longest, 41).astype(int) // 2 * 2
    middle = (
        (lambda wait: [int(wait) // 2, turn * -1j, int(wait) // 2]) if echo else (lambda wait: [int(wait)])
    )
    played = in_turn([[quarter, *middle(wait), quarter] for wait in waits], longest + 100, MOD + detuning)
    ends = waits + (3 if echo else 2) * w
    return waits * 1e-9, solve(played, of, ends[:, None]).first[:, 1]


def test_the_fringe_of_a_ramsey_experiment_is_the_detuning():
    waits, seen = coherence(False, qubit(t1=30e-6, t2=20e-6), 0.3e6, 12_000)
    model = lambda t, a, tau, f, p, c: c + a * np.exp(-t / tau) * np.cos(2 * np.pi * f * t + p)  # noqa: E731
    fit, _ = curve_fit(model, waits, seen, [0.5, 2e-5, 0.31e6, 0, 0.5])
    assert fit[2] == pytest.approx(0.3e6, rel=2e-3)
    assert fit[1] == pytest.approx(20e-6, rel=2e-2)


def test_static_noise_makes_ramsey_gaussian_with_its_own_width():
    waits, seen = coherence(False, qubit(detuning_noise=20e3))
    (sigma,), _ = curve_fit(
        lambda t, s: 0.5 + 0.5 * np.exp(-((2 * np.pi * s * t) ** 2) / 2), waits, seen, [10e3]
    )
    assert sigma == pytest.approx(20e3, rel=1e-2)


def test_an_echo_lives_for_t2_where_ramsey_does_not():
    of = qubit(t1=30e-6, t2=25e-6, detuning_noise=20e3)
    waits, echoed = coherence(True, of)
    _, plain = coherence(False, of)
    contrast = np.abs(2 * echoed - 1)
    (t2,), _ = curve_fit(lambda t, tau: np.exp(-t / tau), waits, contrast, [1e-5])
    assert t2 == pytest.approx(25e-6, rel=3e-2)
    assert np.all(contrast[10:] > np.abs(2 * plain - 1)[10:] + 0.05)


def staircase(alpha: float) -> np.ndarray:
    x, q = half(20, alpha), half(20, alpha) / 2
    y, p = -1j * x, -1j * q
    pairs = [
        [40], [x, x], [y, y], [x, y], [y, x],
        [q, 20], [p, 20], [q, p], [p, q], [q, y], [p, x], [x, p], [y, q], [q, x], [x, q], [p, y], [y, p],
        [x, 20], [y, 20], [q, q], [p, p],
    ]  # fmt: skip
    return excited(in_turn(pairs, 40), qubit())


IDEAL = np.repeat([0.0, 0.5, 1.0], [5, 12, 4])


def test_all_xy_is_a_staircase_with_half_the_derivative():
    assert np.max(np.abs(staircase(0.5) - IDEAL)) < 1e-2


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 1.0])
def test_all_xy_shows_the_wrong_amount_of_derivative(alpha):
    assert np.max(np.abs(staircase(alpha) - IDEAL)) > 0.05


def phase_error(alpha: float) -> float:
    """Return what ten half turns forth and back leave behind, a phase error ten times over."""
    x = half(20, alpha)
    return float(excited(in_turn([[x, -x] * 5], 200), qubit())[0])


def leakage(alpha: float) -> float:
    return float(solve(in_turn([[half(12, alpha)]], 12), qubit(anharmonicity=-DELTA)).first[0, 2])


def test_the_derivative_that_mends_the_phase_is_one_half_and_positive():
    """The sign and the size of DRAG's derivative follow from the Hamiltonian.

    With levels 0, 0, D (D = 2 pi anharmonicity < 0) and coupling (E a + E* a')/2, |E| << |D|:

    * phase: level 2, below level 1 in this frame, pushes it up by |sqrt 2 E/2|^2/|D| = |E|^2/(2|D|):
      the qubit is detuned while it is driven. E = g - i a g'/|D| turns the drive's axis by
      theta = -a g'/(|D| g), and in the frame that follows the axis the qubit is lowered by theta',
      which is positive for a > 0. To first order in 1/|D| the two cancel over the pulse for a = 1/2
      (Motzoi et al., Phys. Rev. Lett. 103, 110501: lambda^2/4 with lambda^2 = 2).
    * leakage: the transition 1-2 sees the integral of E e^{-i D t}; by parts, that of g' is i D times
      that of g, so it is (1 + a D/|D|) = (1 - a) times that of g: it vanishes for a = 1.

    Both signs are those of the lab's envelope with positive alpha and delta = |anharmonicity|.
    """
    alphas = np.array([0.3, 0.4, 0.5, 0.6, 0.7])
    errors = np.array([phase_error(alpha) for alpha in alphas])
    curve = np.polyfit(alphas, np.sqrt(errors) * np.sign(alphas - 0.5), 1)
    assert -curve[1] / curve[0] == pytest.approx(0.5, abs=0.05)
    assert phase_error(-0.5) > phase_error(0.0) > 100 * phase_error(0.5)


def test_the_derivative_that_mends_leakage_is_one():
    alphas = np.linspace(0.2, 1.8, 9)
    leaked = np.array([leakage(alpha) for alpha in alphas])
    assert alphas[leaked.argmin()] == pytest.approx(1.0, abs=0.25)
    assert leakage(0.0) > 10 * leakage(1.0)


def test_one_channel_alone_drives_half_as_fast():
    both, _ = rabi(0.1)
    alone = program([], 50, 200)
    mask = both.plays["channel"] == 0
    object.__setattr__(alone, "plays", both.plays[mask])
    object.__setattr__(alone, "samples", both.samples)
    reference = excited(rabi(0.05)[0], qubit())
    assert excited(alone, qubit()) == pytest.approx(reference, abs=0.02)


def test_a_drive_of_the_upper_transition_moves_level_1_to_level_2():
    anharmonicity = -270e6
    up, further = half(20), half_turn(40, 0.0, DELTA, RATE * np.sqrt(2))
    plays = [(0, 0, up, 0.0)]
    played = program(plays, 1, 60)
    second = program([(0, 20, further, 0.0)], 1, 60, MOD + anharmonicity)
    merged = second.plays.copy()
    merged["offset"] += len(played.samples)
    object.__setattr__(played, "samples", np.concatenate([played.samples, second.samples]))
    object.__setattr__(played, "plays", np.concatenate([played.plays, merged]))
    assert solve(played, qubit()).first[0, 2] > 0.97


def test_a_sequence_means_the_same_wherever_in_the_element_it_lies():
    quarter = half() / 2
    early = program([(0, 0, quarter, 0.0), (0, 500, quarter, 0.0)], 1, 3000)
    late = program([(0, 1777, quarter, 0.0), (0, 2277, quarter, 0.0)], 1, 3000)
    assert excited(early, qubit()) == pytest.approx(excited(late, qubit()), abs=1e-7)


def test_a_trigger_in_the_middle_of_a_pulse_cuts_it():
    whole = solve(in_turn([[square(30, 0.1)]], 60), qubit(), np.array([[12, 60]]))
    part = solve(in_turn([[square(12, 0.1)]], 60), qubit())
    rest = solve(in_turn([[12, square(18, 0.1)]], 60), qubit())
    assert whole.first == pytest.approx(part.first, abs=1e-9)
    assert whole.later[0, 0, 0] == pytest.approx(rest.first[0], abs=1e-9)


def test_overlapping_pulses_add_up():
    together = program([(0, 0, square(40, 0.05), 0.0), (0, 10, square(20, 0.07), 0.0)], 1, 60)
    at_once = square(40, 0.05)
    at_once[10:30] += 0.07
    assert excited(together, qubit()) == pytest.approx(excited(in_turn([[at_once]], 60), qubit()), abs=1e-6)


def test_elements_do_not_depend_on_each_other():
    played, _ = rabi(0.1)
    alone = in_turn([[square(4 * 17, 0.1)]], 200)
    of = qubit(t1=3e-6, t2=2e-6, detuning_noise=30e3, thermal_population=0.02)
    assert solve(played, of).first[17] == pytest.approx(solve(alone, of).first[0], abs=1e-6)


def test_a_far_detuned_drive_leaves_the_qubit_alone():
    played = in_turn([[drag(60, 0.0, DELTA, 0.1)]], 60, MOD + 150e6)
    assert excited(played, qubit())[0] < 1e-3


def test_the_frequency_is_the_chips_and_not_the_drives():
    played, _ = rabi(0.1)
    assert np.max(excited(played, qubit(freq=FREQ + 50e6))) < 0.2
