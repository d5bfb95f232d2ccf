"""The whole protocol against a plain model, in two thousand stories."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import machine, spools


@pytest.mark.parametrize("part", range(4))
def test_whatever_servers_and_people_do_every_ticket_is_once_where_it_should_be(
    quick_path: Path, part: int
) -> None:
    machine.prepare(spools.template(quick_path / "template"))

    assert machine.told(500, part).faults == {}
