"""What the tests of faults share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from . import rooms
from .tally import Tally

Trial = Callable[..., Tally]


@pytest.fixture
def forked() -> Trial:
    """Return a function that makes trials which need no room of their own, or skip."""
    import os

    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    return lambda trial, *arguments: rooms.tried(trial, *arguments, room=False)
