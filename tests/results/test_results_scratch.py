"""The data of a running job: in memory while they are few, else on the local disk."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from qtrl_spool.axes import IQ_AXES, Labelled, whole
from qtrl_spool.errors import BackendError, StorageError
from qtrl_spool.results.scratch import Scratch, scratch_folder

N_REPS = 5


def batch(number, n_reps=N_REPS, dtype=np.float32):
    values = np.random.default_rng(number).normal(size=(2, n_reps, 3, 1, 2)).astype(dtype)
    return Labelled(values, IQ_AXES)


@pytest.fixture(params=["memory", "disk"])
def scratch(request, tmp_path):
    in_memory = 10**6 if request.param == "memory" else 0
    with Scratch(in_memory=in_memory, folder=tmp_path) as made:
        yield made


def joined(*batches):
    return np.concatenate([each.values for each in batches], axis=IQ_AXES.index("repetition"))


def test_what_was_appended_comes_back_as_often_as_asked(scratch):
    given = [batch(number) for number in range(4)]
    for each in given:
        scratch.append(each)
    held = scratch.batches()
    for _ in range(2):
        np.testing.assert_array_equal(whole(held).values, joined(*given))


def test_axes_lengths_and_kind_are_known_without_reading(scratch):
    scratch.append(batch(0))
    scratch.append(batch(1, n_reps=7))
    held = scratch.batches()
    assert (held.axes, held.shape, held.dtype) == (IQ_AXES, (2, 12, 3, 1, 2), np.float32)
    assert (scratch.n_batches, scratch.n_bytes) == (2, 2 * 12 * 3 * 2 * 4)


def test_batches_that_were_asked_for_stay_while_more_are_appended(scratch):
    scratch.append(batch(0))
    before = scratch.batches()
    scratch.append(batch(1))
    assert [part.size("repetition") for part in before] == [N_REPS]


def test_a_job_that_outgrows_the_memory_goes_to_the_disk_whole(tmp_path):
    given = [batch(number) for number in range(4)]
    with Scratch(in_memory=2 * given[0].values.nbytes, folder=tmp_path) as scratch:
        for each in given:
            scratch.append(each)
        np.testing.assert_array_equal(whole(scratch.batches()).values, joined(*given))


def test_views_of_a_larger_array_are_kept_as_they_are_seen(scratch):
    seen = Labelled(batch(0).values[:, ::2], IQ_AXES)
    scratch.append(seen)
    np.testing.assert_array_equal(whole(scratch.batches()).values, seen.values)


@pytest.mark.parametrize(
    "other",
    [
        Labelled(batch(0).values[:1], IQ_AXES),
        batch(0, dtype=np.int16),
        Labelled(batch(0).values, ("quadrature", *IQ_AXES[1:-1], "readout")),
    ],
)
def test_a_batch_unlike_those_before_is_refused(scratch, other):
    scratch.append(batch(0))
    with pytest.raises(BackendError, match=r"after batches of float32 data of readout 2, repetition 5"):
        scratch.append(other)
    assert scratch.n_batches == 1


@pytest.mark.skipif(os.name == "nt", reason="an open file has a name there")
def test_nothing_is_to_be_found_and_cleaned_up(tmp_path):
    with Scratch(in_memory=0, folder=tmp_path) as scratch:
        scratch.append(batch(0))
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_error_with_a_remedy(tmp_path):
    scratch = Scratch(in_memory=0, folder=tmp_path / "nowhere")
    with pytest.raises(StorageError, match=r"scratch file in .*nowhere.*QTRL_SPOOL_SCRATCH"):
        scratch.append(batch(0))


FULL = """
import resource, signal, sys
import numpy as np
from qtrl_spool.axes import IQ_AXES, Labelled, whole
from qtrl_spool.errors import StorageError
from qtrl_spool.results.scratch import Scratch
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, 250_000))
ones = Labelled(np.ones((1, 100, 125, 1, 2), np.float32), IQ_AXES)  # 100 kB
scratch = Scratch(in_memory=int(sys.argv[1]))
try:
    for _ in range(9):
        scratch.append(ones)
except StorageError as error:
    print(error)
print(scratch.n_batches, int(whole(scratch.batches()).values.sum()) == 25_000 * scratch.n_batches)
"""


@pytest.mark.skipif(os.name == "nt", reason="the limit of a file's size is POSIX's")
@pytest.mark.parametrize(("in_memory", "kept"), [(0, 2), (450_000, 4)])
def test_on_a_full_disk_the_batches_before_stay_readable(in_memory, kept):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(in_memory)], capture_output=True, text=True, check=True
    )
    said, facts = done.stdout.strip().splitlines()
    assert "cannot write into the scratch file" in said
    assert "QTRL_SPOOL_SCRATCH" in said
    assert facts == f"{kept} True"


@pytest.mark.parametrize("variable", ["QTRL_SPOOL_SCRATCH", "TMPDIR"])
def test_the_folder_is_the_one_that_the_environment_names(monkeypatch, tmp_path, variable):
    monkeypatch.delenv("QTRL_SPOOL_SCRATCH", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    assert scratch_folder() == tmp_path
