"""The data of a file as batches, and what a paused job goes on with."""

from __future__ import annotations

import numpy as np
import pytest

from qtrl_spool.axes import RAW_AXES, Labelled, whole
from qtrl_spool.errors import NotFoundError, UsageError
from qtrl_spool.results.read import resume_point
from qtrl_spool.results.stored import Stored
from tests.results.conftest import IDENTITY

PAUSED = {
    **IDENTITY,
    "n_reps": 10,
    "seed": 7,
    "config_version": 12,
    "program_sha256": "ab",
    "claim": 3,
    "finished": None,
}


def test_the_points_come_back_bit_by_bit_in_their_batches(build, iq):
    found = resume_point(build(identity=PAUSED).path).iq
    assert [part.values.shape for part in found] == [(2, 10, 21, 2, 2)] * 3
    assert whole(found).values.tobytes() == iq.values.tobytes()
    assert (found.axes, found.shape) == (iq.axes, iq.values.shape)


def test_what_must_be_the_same_to_go_on_is_told(build):
    found = resume_point(build(identity=PAUSED).path)
    assert (found.n_batches, found.seed, found.config_version) == (3, 7, 12)
    assert (found.program_sha256, found.claim) == ("ab", 3)


def test_what_the_file_does_not_tell_is_none(build):
    found = resume_point(build(identity={"n_reps": 30}).path)
    assert (found.n_batches, found.seed, found.config_version, found.claim) == (1, None, None, None)


def test_points_that_are_no_whole_batches_are_refused(build):
    with pytest.raises(UsageError, match="30 repetitions are no whole batches of 20"):
        resume_point(build(identity={**PAUSED, "n_reps": 20}).path)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(NotFoundError):
        resume_point(tmp_path / "partial.h5")


def test_a_variable_that_is_not_there_is_an_error_that_names_it(build):
    with pytest.raises(NotFoundError, match="no 'raw'"):
        Stored.of(build().path, "raw", 10)


def test_traces_come_in_batches_too_the_last_one_shorter(build):
    raw = Labelled(np.arange(2 * 30 * 21 * 2 * 8, dtype=np.int16).reshape(2, 30, 21, 2, 8), RAW_AXES)
    found = Stored.of(build(raw=raw).path, "raw", 20)
    assert [part.size("repetition") for part in found] == [20, 10]
    np.testing.assert_array_equal(whole(found).values, raw.values)
