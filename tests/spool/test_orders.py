"""Order numbers between others."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from qtrl_spool.job import Ticket
from qtrl_spool.spool.orders import MOST_DIGITS, Order, between

ORDERS = st.tuples(st.integers(0, 10**6), st.from_regex(r"([0-9]{0,6}[1-9])?", fullmatch=True))


def value(order: Order) -> Fraction:
    whole, digits = order
    return Fraction(int(f"{whole}{digits}"), 10 ** len(digits))


@given(ORDERS, ORDERS)
def test_the_number_between_two_is_strictly_between_and_sorts_so(one: Order, other: Order) -> None:
    lower, upper = sorted([one, other])
    found = between(lower, upper)

    assert (found is None) == (lower == upper)
    assert found is None or (lower < found < upper and value(lower) < value(found) < value(upper))


@given(ORDERS, ORDERS)
def test_tuples_compare_as_the_numbers_do(one: Order, other: Order) -> None:
    assert (one < other) == (value(one) < value(other))


@given(ORDERS)
def test_a_ticket_with_such_a_number_is_read_back_from_its_name(order: Order) -> None:
    ticket = Ticket(50, order[0], "20261123-101530-rabi-k3f9x", 3, order[1])

    assert Ticket.parse(ticket.name) == ticket


def test_the_shortest_number_near_the_middle_is_taken() -> None:
    assert between((11, ""), (12, "")) == (11, "5")
    assert between((3, ""), (12, "")) == (7, "")
    assert between((11, "5"), (11, "6")) == (11, "55")
    assert between((11, "95"), (12, "")) == (11, "97")


def test_two_hundred_and_fifty_places_are_found_before_one_job_and_then_it_is_said_that_there_is_none() -> (
    None
):
    lower: Order = (11, "")
    n_found = 0
    while (found := between(lower, (12, ""))) is not None:
        lower, n_found = found, n_found + 1

    assert 250 < n_found < 400
    assert len(lower[1]) == MOST_DIGITS


def test_a_name_with_the_longest_number_fits_every_file_system() -> None:
    ticket = Ticket(999_999, 10**9, f"20261123-101530-{'a' * 40}-k3f9x", 10**6, "1" * MOST_DIGITS)

    assert len(ticket.name) < 200


def test_an_old_name_without_a_point_is_read() -> None:
    assert Ticket.parse("50-000000012-20261123-101530-rabi-k3f9x.c0.qjob") == Ticket(
        50, 12, "20261123-101530-rabi-k3f9x"
    )
