"""How backends are found, and what they must have."""

from __future__ import annotations

import pytest

from qtrl_spool.backends import Acquired, Backend, load_backend
from qtrl_spool.backends.simulator import Simulator
from qtrl_spool.errors import BackendError, UsageError


def test_the_simulator_is_found_by_its_name():
    assert isinstance(load_backend("simulator"), Simulator)


def test_the_simulator_has_every_method_of_a_backend():
    assert isinstance(Simulator(), Backend)


def test_each_call_makes_a_new_backend():
    assert load_backend("simulator") is not load_backend("simulator")


def test_a_misspelt_backend_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match=r"no backend 'simulater'.*did you mean 'simulator'"):
        load_backend("simulater")


def test_a_batch_holds_iq_points_or_traces():
    with pytest.raises(BackendError, match="neither IQ points nor raw traces"):
        Acquired()
