"""No drop costs the server more than a few seconds and a few hundred megabytes, whatever is in it.

In processor time, which other work on the machine does not lengthen much. Before these bounds were set some
of these drops took minutes.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qtrl_spool.config import Configuration, load_config

from . import bombs

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
MOST_S, MOST_MB = 8.0, 400.0


@pytest.fixture(scope="module")
def default() -> Configuration:
    return load_config(Path(__file__).parents[1] / "configs")


@pytest.mark.parametrize("name", bombs.BOMBS)
def test_a_bomb_is_answered_in_bounded_time_and_memory(
    tmp_path: Path, default: Configuration, name: str
) -> None:
    took, grew, said = bombs.cost(bombs.make(name, tmp_path), default)

    assert took < MOST_S and grew < MOST_MB, (took, grew, said)
