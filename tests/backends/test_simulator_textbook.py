"""The experiments of the textbooks, the whole way: every fitted number is where the chip has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from textbook import CHECKS, Check


@pytest.mark.parametrize("experiment", CHECKS, ids=lambda each: each.__name__)
def test_the_fitted_numbers_are_those_of_the_chip(experiment: Callable[[], Iterator[Check]]):
    differing = [check for check in experiment() if not check.agrees]
    assert differing == []
