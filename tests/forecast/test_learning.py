"""What is learnt of like jobs, how it is kept, and what is believed of a file."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtrl_spool.forecast.kinds import Kind, kind_of
from qtrl_spool.forecast.learning import MOST_ERRORS, MOST_KEYS, Learnt, Ran, learnt_from
from qtrl_spool.forecast.sizes import Sizes
from qtrl_spool.forecast.sums import Deviations, Item, Sum, deviations_from

RABI = Kind("rabi", "ada", n_reps=500, n_elements=51, n_batches=10)


def learnt(*ran: Ran) -> Learnt:
    found = Learnt()
    for each in ran:
        found.observe(each)
    return found


def test_a_job_like_those_that_ran_is_expected_to_take_what_they_took() -> None:
    expected = learnt(*[Ran(RABI, 42.0)] * 5).expected(RABI)

    assert expected.batch_s == pytest.approx(42.0, rel=0.02)
    assert expected.level == 4


def test_jobs_of_the_same_user_count_more_than_those_of_others() -> None:
    bobs = RABI._replace(user="bob")
    known = learnt(*[Ran(RABI, 10.0), Ran(bobs, 30.0)] * 6)

    assert known.expected(RABI).batch_s < 14 < 24 < known.expected(bobs).batch_s


def test_a_shape_that_never_ran_is_expected_by_its_size() -> None:
    sizes = [Ran(Kind("t1", "ada", n_reps=n), 0.5 + n * 1e-3) for n in (10, 100, 1000, 10_000)]

    assert learnt(*sizes).expected(Kind("new", "bob", n_reps=3000)).batch_s == pytest.approx(3.5, rel=0.3)


def test_what_was_wrong_before_makes_the_next_spread_wider() -> None:
    steady = learnt(*[Ran(RABI, 10.0)] * 20)
    wild = learnt(*[Ran(RABI, 10.0 * math.exp((-1) ** n)) for n in range(20)])

    assert wild.expected(RABI).alone > 3 * steady.expected(RABI).alone


def test_jobs_that_end_early_are_reckoned_with() -> None:
    known = learnt(*[Ran(RABI, 1.0, fraction=0.5 if n % 2 else 1.0) for n in range(60)])

    assert known.early == pytest.approx((0.5, 0.5), abs=0.1)


def test_it_stays_small_however_many_kinds_there_are() -> None:
    known = learnt(*[Ran(RABI._replace(name=f"scan {n}"), 1.0 + n, 0.1, 0.2) for n in range(2000)])
    document = known.to_dict()

    assert len(document["tallies"]) <= 3 * MOST_KEYS
    assert all(len(each) <= MOST_ERRORS for each in document["errors"])
    assert len(json.dumps(document)) < 200_000


def test_what_is_kept_is_read_back() -> None:
    known = learnt(*[Ran(RABI, 40.0 + n, 0.1, 0.3, 0.5 if n == 3 else 1.0) for n in range(9)])
    again = learnt_from(json.loads(json.dumps(known.to_dict())))

    assert again.expected(RABI)[:7] == pytest.approx(known.expected(RABI)[:7], rel=1e-3)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["tallies", "errors", "early", "stopped_at", "sizes", "x"]), _JSON),
    st.dictionaries(st.sampled_from(["1", "2", "64", "x"]), _JSON),
)
def test_whatever_a_file_says_what_is_expected_are_numbers(
    told: dict[str, Any], sums: dict[str, Any]
) -> None:
    expected = learnt_from(told).expected(RABI)
    low, middle, high = deviations_from(sums).interval(Sum(100.0, 3), 1.0)

    assert all(math.isfinite(each) for each in (*expected[:7], low, middle, high))
    assert low <= middle <= high


@settings(max_examples=100, deadline=None)
@given(_JSON, _JSON)
def test_a_record_that_tells_nothing_sensible_still_has_a_kind(shape: Any, progress: Any) -> None:
    kind = kind_of({"name": "rabi", "shape": shape, "progress": progress})

    assert kind.shots >= 1 and kind.n_batches >= 1 and kind.least_batch_s >= 0


def test_a_first_guess_follows_the_least_batch_time_of_a_configuration() -> None:
    assert Learnt().expected(RABI._replace(n_reps=1, least_batch_s=60.0)).batch_s == pytest.approx(60.0)


def test_errors_of_one_kind_add_up_and_those_of_others_do_not() -> None:
    alike, mixed = Sum(), Sum()
    for n in range(16):
        alike.add(Item(10.0, 0.0, 5.0, "same"))
        mixed.add(Item(10.0, 0.0, 5.0, str(n)))

    assert alike.spread == pytest.approx(80.0, rel=0.02)
    assert mixed.spread == pytest.approx(20.0, rel=0.1)


def test_an_interval_becomes_as_wide_as_what_was_seen() -> None:
    honest, fooled = Deviations(), Deviations()
    for n in range(80):
        for each, took in ((honest, 10.0 + (-1) ** n), (fooled, 10.0 + 8 * (-1) ** n)):
            each.expect(str(n), Item(10.0, 1.0, 0.0, str(n)))
            each.observe(str(n), took)
    total = Sum()
    total.add(Item(10.0, 1.0, 0.0, "x"))
    widths = [each.interval(total, 0.0)[2] - each.interval(total, 0.0)[0] for each in (honest, fooled)]

    assert widths[1] > 4 * widths[0]


def test_the_size_of_a_batch_is_fitted_over_many_orders_of_magnitude() -> None:
    sizes = Sizes()
    for shots in (1, 100, 10_000, 1_000_000):
        sizes.observe(shots, 0.3 + 1e-4 * shots)

    guesses = [sizes.size.guess_s(shots) / (0.3 + 1e-4 * shots) for shots in (1, 1_000, 300_000)]
    assert guesses == pytest.approx([1.0, 1.0, 1.0], rel=0.3)
