"""The whole protocol against a plain model, in two thousand stories."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from . import machine, spools

STORIES = settings(
    max_examples=500, stateful_step_count=14, deadline=None, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.mark.parametrize("part", range(4))
def test_whatever_servers_and_people_do_every_ticket_is_once_where_it_should_be(
    quick_path: Path, part: int
) -> None:
    machine.prepare(spools.template(quick_path / "template"))

    run_state_machine_as_test(seed(part)(machine.Protocol), settings=STORIES)
