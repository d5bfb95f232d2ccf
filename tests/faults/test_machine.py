"""The whole protocol against a plain model, in two thousand stories."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import machine, spools
from .conftest import Count


@pytest.mark.parametrize("part", range(4))
def test_whatever_servers_and_people_do_every_ticket_is_once_where_it_should_be(
    quick_path: Path, part: int, count: Count
) -> None:
    machine.prepare(spools.template(quick_path / "template"))

    tally = machine.told(500, part)

    assert tally.faults == {}
    assert tally.trials >= 500
    count("stories", tally.trials)
