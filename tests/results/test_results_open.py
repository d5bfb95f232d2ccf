"""A result file is open to everybody at once: `Result`, xarray and h5py, in one process."""

from __future__ import annotations

import errno

import h5py
import pytest
import xarray

from qtrl_spool.errors import UsageError
from qtrl_spool.results import Result


def by_h5netcdf(path):
    return xarray.open_dataset(path, engine="h5netcdf")


def by_netcdf4(path):
    pytest.importorskip("netCDF4", reason="netCDF4 is not installed")
    return xarray.open_dataset(path, engine="netcdf4")


def by_h5py(path):
    return h5py.File(path, "r")


READERS = [by_h5netcdf, by_netcdf4, by_h5py]


@pytest.mark.parametrize("reader", READERS)
def test_other_readers_open_a_file_that_a_result_holds(result, reader):
    result.dataset.load()
    result.summary()
    with reader(result.path) as other:
        assert "iq" in other


@pytest.mark.parametrize("reader", READERS)
def test_a_result_opens_a_file_that_other_readers_hold(result, reader):
    with reader(result.path):
        assert "rabi <Q6>" in result.summary()


class Lockless(h5py.File):
    """HDF5 on storage without locks."""

    def __init__(self, *args, locking=None, **kwargs):
        if locking is not False:
            raise OSError(errno.ENOLCK, "Unable to synchronously open file (unable to lock file, errno = 37)")
        super().__init__(*args, locking=locking, **kwargs)


def test_storage_without_locks_is_read_without_them(result, monkeypatch):
    monkeypatch.setattr(h5py, "File", Lockless)
    with Result(result.path) as opened:
        assert "rabi <Q6>" in opened.summary()


class Stale(h5py.File):
    """HDF5 on a share where the file is just being replaced."""

    n_times = 2

    def __init__(self, *args, **options):
        if Stale.n_times:
            Stale.n_times -= 1
            raise OSError(
                errno.ESTALE, "Unable to synchronously open file (unable to open file, errno = 116)"
            )
        super().__init__(*args, **options)


def test_a_file_that_is_just_being_replaced_is_tried_again(result, monkeypatch):
    monkeypatch.setattr(h5py, "File", Stale)
    with Result(result.path) as opened:
        assert "rabi <Q6>" in opened.summary()
    assert Stale.n_times == 0


def test_a_folder_is_no_result(tmp_path):
    with pytest.raises(UsageError, match="cannot be opened"):
        _ = Result(tmp_path).attrs
