"""The contract of backends: the simulator keeps it, and each way to break it is noticed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import nasty
import pytest

from qtrl_spool.backends import Backend
from qtrl_spool.backends.contract import BackendContract
from qtrl_spool.backends.simulator import Simulator


class TestSimulator(BackendContract):
    make = Simulator


class TestOfTheSimulatorBehindAnother(BackendContract):
    make = nasty.Nasty


def broken_by(make: Callable[[], Backend]) -> set[str]:
    """Return the tests of the contract that a backend does not pass."""
    contract = type("Contract", (BackendContract,), {"make": staticmethod(make), "soon_s": 0.5})()
    tests = [name for name, _ in inspect.getmembers(contract, inspect.ismethod) if name.startswith("test_")]
    return {name for name in tests if not passes(contract, name)}


def passes(contract: Any, name: str) -> bool:
    try:
        getattr(contract, name)()
    except Exception:  # whatever a backend raises, and what the contract asserts
        return False
    return True


@pytest.mark.parametrize(
    ("make", "test"),
    [
        (nasty.Raising, "test_a_batch_has_the_shape_that_was_asked_for"),
        (nasty.Failing, "test_a_batch_has_the_shape_that_was_asked_for"),
        (nasty.NotNumbers, "test_a_batch_has_the_shape_that_was_asked_for"),
        (nasty.LosingTriggers, "test_every_batch_has"),
        (nasty.WrongAxes, "test_every_batch_has"),
        (nasty.ReturningNothing, "test_a_batch_has_the_shape_that_was_asked_for"),
        (nasty.NotConnecting, "test_it_can_be_opened_anew"),
        (nasty.DeafToStop, "test_it_stops_when_it_is_told"),
    ],
)
def test_a_backend_that_breaks_the_contract_fails_the_test_that_says_so(
    make: Callable[[], Backend], test: str
) -> None:
    assert test in broken_by(make)


def test_a_backend_that_is_only_slow_keeps_it() -> None:
    contract = type("Contract", (BackendContract,), {"make": nasty.Slow})()

    assert passes(contract, "test_a_batch_has_the_shape_that_was_asked_for")
