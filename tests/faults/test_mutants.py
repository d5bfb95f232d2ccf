"""Tests of the tests: a part of the protocol that is taken out is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from .mutants import MUTANTS, Mutant, killed

_ROOT = Path(__file__).parents[2]
_QUICK = [mutant for mutant in MUTANTS if mutant.caught_by.endswith("test_machine.py")]


@pytest.mark.parametrize("mutant", _QUICK, ids=lambda mutant: mutant.name)
def test_a_part_that_is_taken_out_is_noticed(mutant: Mutant) -> None:
    noticed = killed(mutant)

    assert noticed is not None
    assert noticed.startswith(mutant.caught_by)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_what_a_mutant_takes_out_is_there(mutant: Mutant) -> None:
    for file, old, _ in mutant.changes:
        assert old in (_ROOT / file).read_text()
