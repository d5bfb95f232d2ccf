"""Fits of known curves, and of what is no such curve."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qtrl_spool.processing.fitting import MODELS, curve, evaluate, fit, with_best

X = np.arange(51) * 0.02
NOISE = 0.02
STAIRCASE = np.repeat([0.0, 0.5, 1.0], [10, 24, 8])
CHAIN = ("exp", "sin_exp", "cos", "all_xy")


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


@pytest.mark.parametrize("kind", ["exp", "sin_exp", "rabi", "rb", "beat"])
def test_a_staircase_is_no_curve(kind):
    assert not fit(kind, np.arange(42.0), noisy(STAIRCASE))["ok"]


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


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (0.5 - 0.4 * np.cos(2 * np.pi * 10.1 * np.arange(42) / 41), "cos"),
        (0.8 * np.exp(-np.arange(42) / 12), "exp"),
        (0.5 - 0.4 * np.cos(2 * np.pi * np.arange(42) / 9) * np.exp(-np.arange(42) / 20), "sin_exp"),
        (STAIRCASE, "all_xy"),
        (np.full(42, 0.5), None),
    ],
)
def test_the_best_fit_is_the_shape_of_the_data(points, expected):
    kinds = with_best({kind: fit(kind, np.arange(42.0), noisy(points)) for kind in CHAIN})
    assert kinds["best"] == expected


def test_of_fits_that_are_equally_good_the_more_specific_is_the_best():
    y = noisy(0.5 - 0.4 * np.cos(2 * np.pi * 5 * X))
    assert with_best({kind: fit(kind, X, y) for kind in ("cos", "rabi")})["best"] == "rabi"


def test_the_curve_of_a_record_goes_through_the_points():
    curve = 0.5 + 0.45 * np.exp(-X / 0.4) * np.sin(2 * np.pi * 4 * X + 0.7)
    record = json.loads(json.dumps(fit("sin_exp", X, noisy(curve))))
    np.testing.assert_allclose(evaluate("sin_exp", record, X), curve, atol=2 * NOISE)


# With errors: points that were counted


def counted(curve, n, seed):
    """Return fractions of `n` shots and their standard errors."""
    found = np.random.default_rng(seed).binomial(n, np.clip(curve, 0, 1))
    likely = (found + 0.5) / (n + 1)
    return found / n, np.sqrt(likely * (1 - likely) / n)


LENGTHS = np.repeat([1.0, 3, 6, 10, 20, 40, 80, 160, 320], 3)
TRUE = {
    "exp": (X, {"offset": 0.02, "amplitude": 0.95, "tau": 0.3}),
    "cos": (X, {"offset": 0.5, "amplitude": 0.49, "frequency": 5.3, "phase": 3.0}),
    "sin_exp": (X, {"offset": 0.5, "amplitude": 0.45, "tau": 0.4, "frequency": 7.1, "phase": 1.2}),
    "rabi": (X, {"offset": 0.5, "amplitude": 0.49, "frequency": 3.3, "decay": 0.3}),
    "rb": (LENGTHS, {"offset": 0.5, "amplitude": 0.48, "p": 0.99}),
    "beat": (
        np.arange(101) * 0.01,
        {
            "offset": 0.5, "amplitude": 0.27, "tau": 0.6, "frequency": 8.0, "phase": 0.2,
            "amplitude_2": 0.2, "frequency_2": 10.5, "phase_2": 0.1,
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TRUE)
def test_the_truth_lies_within_two_standard_errors_as_often_as_it_should(kind):
    x, true = TRUE[kind]
    records = [fit(kind, x, *counted(curve(kind, true, x), 300, seed)) for seed in range(60)]
    assert [record["reason"] for record in records if not record["ok"]] == []
    inside = [
        abs(record["parameters"][name]["value"] - value) < 2 * record["parameters"][name]["error"]
        for record in records
        for name, value in true.items()
    ]
    assert 0.90 <= np.mean(inside) <= 0.99


@pytest.mark.parametrize("level", [0.02, 0.5])
@pytest.mark.parametrize("kind", MODELS)
def test_noise_of_counting_has_no_fit_in_at_least_nineteen_of_twenty(kind, level):
    x = np.arange(42.0)
    ok = [fit(kind, x, *counted(np.full(42, level), 200, seed))["ok"] for seed in range(40)]
    assert np.mean(ok) <= 0.05


def test_points_weigh_by_their_errors():
    y, error = 0.1 + 0.8 * np.exp(-X / 0.3), np.full(X.shape, 0.01)
    y[7], error[7] = 0.9, 10.0
    assert fit("exp", X, y, error)["parameters"]["tau"]["value"] == pytest.approx(0.3, rel=1e-3)
    assert abs(fit("exp", X, y)["parameters"]["tau"]["value"] / 0.3 - 1) > 0.01


def test_the_errors_of_the_points_make_those_of_the_parameters():
    y, error = counted(0.1 + 0.8 * np.exp(-X / 0.3), 1000, 1)
    one, ten = (fit("exp", X, y, scale * error)["parameters"]["tau"]["error"] for scale in (1.0, 10.0))
    assert ten == pytest.approx(10 * one, rel=0.1)


def test_points_that_scatter_more_than_their_errors_tell_make_larger_ones():
    y = noisy(0.1 + 0.8 * np.exp(-X / 0.3))
    told, none = (fit("exp", X, y, error) for error in (np.full(X.shape, NOISE / 100), None))
    assert told["chi2"] > 1000
    assert told["parameters"]["tau"]["error"] == pytest.approx(none["parameters"]["tau"]["error"], rel=0.1)


def test_an_error_of_zero_is_not_taken_at_its_word():
    y = noisy(0.1 + 0.8 * np.exp(-X / 0.3))
    error = np.full(X.shape, NOISE)
    error[:3] = 0.0
    assert within(fit("exp", X, y, error), "tau", 0.3)


def test_randomized_benchmarking_tells_the_error_of_a_gate():
    record = fit("rb", LENGTHS, *counted(0.5 + 0.5 * 0.995**LENGTHS, 2000, 3))
    assert within(record, "error_per_gate", 0.0025)
    assert record["x0"] == 0.0


def test_a_decay_that_the_lengths_do_not_reach_tells_no_error_of_a_gate():
    record = fit("rb", LENGTHS[:12], *counted(0.5 + 0.5 * 0.9999 ** LENGTHS[:12], 300, 3))
    assert record["reason"] in ("no better than a constant", "the data do not determine the parameters")


def test_a_rabi_oscillation_that_is_not_damped_has_a_decay_of_zero_within_its_error():
    record = fit("rabi", X, *counted(0.5 - 0.5 * np.cos(2 * np.pi * 3 * X), 500, 0))
    decay = record["parameters"]["decay"]
    assert abs(decay["value"]) < 3 * decay["error"]
    assert within(record, "frequency", 3.0)


def test_a_rabi_oscillation_begins_at_zero_wherever_the_data_begin():
    x = X + 0.2
    record = fit("rabi", x, *counted(0.5 - 0.5 * np.cos(2 * np.pi * 3 * x), 500, 0))
    assert within(record, "frequency", 3.0)
    np.testing.assert_allclose(evaluate("rabi", record, np.zeros(1)), 0.0, atol=0.05)


def test_one_decaying_sine_is_no_beat():
    curve_of_one = 0.5 + 0.45 * np.exp(-X / 0.4) * np.sin(2 * np.pi * 8 * X)
    assert fit("beat", X, *counted(curve_of_one, 500, 0))["reason"] == "one frequency is enough"


def test_the_larger_sine_of_a_beat_is_the_first():
    x, true = TRUE["beat"]
    swapped = true | {"amplitude": 0.2, "amplitude_2": 0.27, "frequency": 10.5, "frequency_2": 8.0}
    swapped |= {"phase": 0.1, "phase_2": 0.2}
    assert within(fit("beat", x, *counted(curve("beat", swapped, x), 3000, 0)), "frequency", 8.0)


@pytest.mark.parametrize("repeats", [1, 2])
def test_an_all_xy_that_is_perfect_has_no_deviation_beyond_its_error(repeats):
    ideal = 0.1 + 0.8 * np.repeat([0.0, 0.5, 1.0], np.array([5, 12, 4]) * repeats)
    record = fit("all_xy", np.arange(21.0 * repeats), *counted(ideal, 500, 2))
    deviation = record["parameters"]["deviation"]
    assert deviation["value"] < 2 * deviation["error"]
    assert within(record, "amplitude", 0.8)


def test_the_deviation_of_an_all_xy_is_that_of_its_points():
    off = 0.06 * np.resize([1.0, -1.0], 42)
    record = fit("all_xy", np.arange(42.0), *counted(0.1 + 0.8 * STAIRCASE + off, 5000, 2))
    assert within(record, "deviation", 0.06 / 0.8)
    np.testing.assert_allclose(
        evaluate("all_xy", record, np.array([0.0, 20.0, 41.0])), [0.1, 0.5, 0.9], atol=0.03
    )


def test_other_numbers_of_points_are_no_all_xy():
    assert fit("all_xy", np.arange(40.0), noisy(STAIRCASE[:40]))["reason"] == "40 points are not 21 pairs"


def test_points_may_come_in_any_order_and_spacing():
    rng = np.random.default_rng(5)
    x = rng.permutation(np.cumsum(rng.random(60)) * 0.03)
    assert within(
        fit("sin_exp", x, noisy(0.5 + 0.4 * np.exp(-x) * np.sin(2 * np.pi * 5 * x))), "frequency", 5.0
    )


def test_a_record_says_what_is_needed_to_draw_it_and_how_good_it_is():
    record = fit("cos", X, *counted(0.5 - 0.4 * np.cos(2 * np.pi * 5 * X), 500, 0))
    assert (record["kind"], record["n_points"]) == ("cos", 51)
    assert record["r2"] > 0.95 and 0.5 < record["chi2"] < 1.6
    np.testing.assert_array_equal(
        curve("cos", record["parameters"], X, x0=record["x0"]), evaluate("cos", record, X)
    )
