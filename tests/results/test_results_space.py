"""Room for a job's data is looked for, and set apart, before the job starts."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from qtrl_spool import fs
from qtrl_spool.axes import IQ_AXES, Labelled, whole
from qtrl_spool.config import AcquisitionSettings
from qtrl_spool.errors import StorageError
from qtrl_spool.results.scratch import Scratch
from qtrl_spool.results.space import Reservation, amount, clear, need, reserve, shortage
from tests.beds import bindfs, tmpfs

MB = 1_000_000


def settings(**changes):
    given = {
        "n_reps": 100,
        "n_batches": 10,
        "n_elements": 51,
        "n_triggers": 2,
        "points": 1000,
        "keep_raw": False,
        "sample_rate": 1e9,
    }
    return AcquisitionSettings(**{**given, **changes})


def test_points_take_eight_bytes_for_each_shot_trigger_and_readout():
    assert need(settings(), 3).iq == 100 * 10 * 51 * 2 * 3 * 8


def test_traces_take_room_only_if_they_are_kept():
    assert need(settings(), 3).raw == 0
    assert need(settings(keep_raw=True), 3, sample_bytes=2).raw == 100 * 10 * 51 * 2 * 1000 * 2 * 2


def test_a_result_is_no_larger_than_was_reckoned(build, iq, processed):
    path = build().path
    reckoned = need(settings(n_reps=30, n_batches=1, n_elements=21), 2)
    assert path.stat().st_size <= reckoned.result


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [
        (500, "0.5 kB"),
        (340 * MB, "340 MB"),
        (999_900_000, "1 GB"),
        (12_000 * MB, "12 GB"),
        (3_140 * MB, "3.14 GB"),
        (2 * 10**12, "2 TB"),
    ],
)
def test_amounts_are_told_in_words(n_bytes, words):
    assert amount(n_bytes) == words


def test_where_there_is_room_there_is_no_shortage(tmp_path):
    assert shortage(tmp_path, 1000) is None


def test_what_is_too_large_is_told_with_what_is_free(tmp_path):
    said = shortage(tmp_path, 10**16, promised=10**16)
    assert said == "storage: needs 10000 TB, 0 kB free"


@pytest.fixture
def disk(tmp_path):
    """Return a folder on a disk of 64 MB."""
    with tmpfs(tmp_path / "disk", "64m") as folder:
        yield folder


def test_room_that_is_set_apart_is_taken_from_all_others(disk):
    free = fs.free_bytes(disk)
    reserve(disk / "result.c1.h5", 40 * MB)
    assert fs.free_bytes(disk) <= free - 40 * MB


def test_two_jobs_that_do_not_both_fit_are_told_apart_before_they_start(disk):
    first, second = disk / "first", disk / "second"
    first.mkdir()
    second.mkdir()
    reserve(first / "result.c1.h5", 40 * MB)
    with pytest.raises(StorageError, match=r"^storage: needs 40 MB, \S+ MB free"):
        reserve(second / "result.c1.h5", 40 * MB)
    assert list(second.iterdir()) == []


def test_a_result_is_written_into_the_room_that_was_set_apart(disk):
    path = disk / "result.c1.h5"
    held = reserve(path, 40 * MB)
    (disk / "other").write_bytes(bytes(fs.free_bytes(disk)))
    fs.replace_by(path, lambda file: file.write(bytes(39 * MB)) and file.truncate(), into=held.into)
    assert path.stat().st_size == 39 * MB
    assert sorted(each.name for each in disk.iterdir()) == ["other", "result.c1.h5"]


def test_room_that_is_released_is_free_again(disk):
    free = fs.free_bytes(disk)
    held = reserve(disk / "result.c1.h5", 40 * MB)
    held.release()
    held.release()
    assert fs.free_bytes(disk) == free


def held_by(folder):
    return [int(each.name.split(".")[2][1:]) for each in folder.iterdir() if each.suffix == ".reserved"]


def test_two_servers_that_prepare_the_same_job_do_not_touch_each_others_room(disk):
    one, other = (reserve(disk / "result.c1.h5", 20 * MB) for _ in range(2))
    other.release()
    assert one.into.exists()


def test_what_a_dead_server_left_is_given_back_to_the_next_claim(disk):
    reserve(disk / "result.c1.h5", 20 * MB)
    reserve(disk / "result.c2.h5", 20 * MB)
    assert held_by(disk) == [2]


def test_a_server_that_lost_its_claim_takes_nothing_from_the_one_that_has_it(disk):
    reserve(disk / "result.c2.h5", 20 * MB)
    reserve(disk / "result.c1.h5", 20 * MB).end()
    assert held_by(disk) == [2]


def test_when_a_claim_ends_all_is_given_back_that_was_set_apart_for_it(disk):
    reserve(disk / "result.c1.h5", 20 * MB)
    reserve(disk / "result.c1.h5", 20 * MB).end()
    assert held_by(disk) == []


def test_all_that_was_set_apart_in_a_home_can_be_cleared(disk):
    reserve(disk / "result.c1.h5", 20 * MB)
    (disk / "result.h5").touch()
    clear(disk)
    assert [each.name for each in disk.iterdir()] == ["result.h5"]


def test_a_small_result_is_only_looked_for(tmp_path):
    assert reserve(tmp_path / "result.c1.h5", MB) == Reservation(MB)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_set_apart_is_announced(tmp_path):
    assert Reservation(20 * MB).announced == 20 * MB
    assert Reservation(20 * MB, tmp_path / "file").announced == 0
    assert Reservation(MB).announced == 0


def test_storage_that_sets_nothing_apart_leaves_no_file(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "file").touch()
    with bindfs(tmp_path / "disk", tmp_path / "share"):
        held = reserve(tmp_path / "share" / "result.c1.h5", 20 * MB)
        assert held.announced == 20 * MB
        assert [each.name for each in (tmp_path / "share").iterdir()] == ["file"]


def test_what_others_announced_is_not_free(disk):
    with pytest.raises(StorageError, match="storage: needs 40 MB, 0 kB free"):
        reserve(disk / "result.c1.h5", 40 * MB, promised=70 * MB)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is set apart")
def test_a_scratch_file_has_its_room_from_the_beginning(disk):
    free = fs.free_bytes(disk)
    with Scratch(expected=40 * MB, in_memory=MB, folder=disk):
        assert fs.free_bytes(disk) <= free - 40 * MB
    assert fs.free_bytes(disk) == free


def test_a_scratch_disk_without_room_is_told_before_the_job_starts(disk):
    with pytest.raises(StorageError, match=r"^scratch disk .*: needs 80 MB, \S+ MB free.*QTRL_SPOOL_SCRATCH"):
        Scratch(expected=80 * MB, in_memory=MB, folder=disk)


def test_what_was_expected_does_not_limit_what_comes(tmp_path):
    batch = Labelled(np.ones((1, 1000, 1, 1, 2), np.float32), IQ_AXES)
    with Scratch(expected=2, in_memory=1, folder=tmp_path) as scratch:
        scratch.append(batch)
        scratch.append(batch)
        assert whole(scratch.batches()).values.shape == (1, 2000, 1, 1, 2)
