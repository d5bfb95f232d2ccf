"""Fits of known curves, and of what is no such curve."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qtrl_spool.processing.fitting import MODELS, evaluate, fit, with_best

X = np.arange(51) * 0.02
NOISE = 0.02


def noisy(curve, seed=0):
    return curve + NOISE * np.random.default_rng(seed).normal(size=curve.shape)


def within(record, name, expected, n_sigma=4.0):
    found = record["parameters"][name]
    return abs(found["value"] - expected) < n_sigma * found["error"] and found["error"] < 0.2 * abs(expected)


def test_an_exponential_is_found_within_its_errors():
    record = fit("exp", X, noisy(0.1 + 0.8 * np.exp(-X / 0.3)))
    assert record["ok"]
    assert within(record, "tau", 0.3)
    assert within(record, "amplitude", 0.8)


def test_a_rising_exponential_has_a_negative_amplitude():
    record = fit("exp", X, noisy(0.9 - 0.8 * np.exp(-X / 0.3)))
    assert within(record, "amplitude", -0.8)


def test_a_cosine_is_found_within_its_errors():
    record = fit("cos", X, noisy(0.5 - 0.4 * np.cos(2 * np.pi * 10.1 * X)))
    assert record["ok"]
    assert within(record, "frequency", 10.1)
    assert abs(abs(record["parameters"]["phase"]["value"]) - np.pi) < 0.1


def test_a_decaying_sine_is_found_within_its_errors():
    record = fit("sin_exp", X, noisy(0.5 + 0.45 * np.exp(-X / 0.4) * np.sin(2 * np.pi * 4 * X + 0.7)))
    assert record["ok"]
    assert within(record, "frequency", 4.0)
    assert within(record, "tau", 0.4)
    assert within(record, "phase", 0.7)


def test_values_and_errors_have_the_scale_of_the_x_axis():
    x = 1e-9 * X
    record = fit("cos", x, noisy(0.5 - 0.4 * np.cos(2 * np.pi * 5e9 * x)))
    assert within(record, "frequency", 5e9)


def test_amplitude_and_phase_are_told_at_the_first_point():
    record = fit("exp", X + 7.0, noisy(0.8 * np.exp(-X / 0.3)))
    assert record["x0"] == 7.0
    assert within(record, "amplitude", 0.8)


@pytest.mark.parametrize("spread", [0.5, 1.0])
def test_points_need_not_be_evenly_spaced(spread):
    x = np.sort(np.random.default_rng(2).random(60)) * spread
    record = fit("cos", x, noisy(0.5 + 0.4 * np.cos(2 * np.pi * 6 * x)))
    assert within(record, "frequency", 6.0)


def test_the_standard_errors_are_the_scatter_of_many_fits():
    fits = [fit("cos", X, noisy(0.5 - 0.4 * np.cos(2 * np.pi * 10.1 * X), seed)) for seed in range(60)]
    values = np.array([record["parameters"]["frequency"]["value"] for record in fits])
    errors = np.array([record["parameters"]["frequency"]["error"] for record in fits])
    assert values.std() == pytest.approx(errors.mean(), rel=0.3)


@pytest.mark.parametrize("kind", MODELS)
def test_noise_has_no_fit(kind):
    records = [fit(kind, X, noisy(0.4 + 0 * X, seed)) for seed in range(20)]
    assert [record["reason"] for record in records if record["ok"]] == []


@pytest.mark.parametrize("kind", MODELS)
def test_a_constant_has_no_fit(kind):
    assert not fit(kind, X, np.full(X.shape, 0.5))["ok"]


@pytest.mark.parametrize("kind", MODELS)
def test_a_staircase_is_no_curve_of_ours(kind):
    staircase = np.repeat([0.0, 0.5, 1.0], [10, 24, 8])
    assert not fit(kind, np.arange(42.0), noisy(staircase))["ok"] or kind == "cos"


def test_an_undamped_oscillation_has_no_decay_time_and_says_so():
    record = fit("sin_exp", X, noisy(0.5 - 0.4 * np.cos(2 * np.pi * 10.1 * X)))
    assert not record["ok"]
    assert "determine" in record["reason"]


def test_points_that_are_not_finite_are_left_out():
    y = noisy(0.8 * np.exp(-X / 0.3))
    y[[3, 20]] = np.nan
    assert within(fit("exp", X, y), "tau", 0.3)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_too_few_points_have_no_fit(n):
    assert "too few" in fit("cos", X[:n], X[:n])["reason"]


def test_points_at_one_x_have_no_fit():
    assert not fit("exp", np.zeros(20), noisy(np.zeros(20)))["ok"]


def test_the_best_fit_is_the_shape_of_the_data():
    cosine, decay = 0.5 - 0.4 * np.cos(2 * np.pi * 10.1 * X), 0.8 * np.exp(-X / 0.3)
    for curve, expected in ((cosine, "cos"), (decay, "exp"), (0 * X, None)):
        kinds = with_best({kind: fit(kind, X, noisy(curve)) for kind in MODELS})
        assert kinds["best"] == expected


def test_the_curve_of_a_record_goes_through_the_points():
    curve = 0.5 + 0.45 * np.exp(-X / 0.4) * np.sin(2 * np.pi * 4 * X + 0.7)
    record = json.loads(json.dumps(fit("sin_exp", X, noisy(curve))))
    np.testing.assert_allclose(evaluate("sin_exp", record, X), curve, atol=2 * NOISE)
