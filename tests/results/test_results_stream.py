"""Results larger than the memory, and disks that fill up while they are written."""

from __future__ import annotations

import errno
import gc
import io
import os
import shutil
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

from qtrl_spool.axes import IQ_AXES, RAW_AXES, InMemory, Labelled, whole
from qtrl_spool.results.write import COMPRESSIONS, write

GIVEN = {"processed": None, "readouts": ("R6", "R0"), "identity": {"job_id": "a"}, "documents": {"patch": ""}}
X_AXIS = ("pulse width", "us", np.arange(51.0))


N_BATCHES, N_REPS = 20, 20


def iq():
    """Return batches that are 330 kB together."""
    rng = np.random.default_rng(1)
    shape = (2, N_REPS, 51, 1, 2)
    return InMemory([Labelled(rng.normal(size=shape).astype("f4"), IQ_AXES) for _ in range(N_BATCHES)])


def raw():
    """Return batches that are 1.6 MB together."""
    rng = np.random.default_rng(2)
    shape = (2, N_REPS, 51, 1, 20)
    return InMemory([Labelled(rng.integers(-99, 99, shape, "i2"), RAW_AXES) for _ in range(N_BATCHES)])


def written(path, **changes):
    with path.open("w+b") as file:
        write(file, **{**GIVEN, "x_axis": X_AXIS, "iq": None, "raw": None, **changes})
    return path


@pytest.fixture(params=COMPRESSIONS, ids=str)
def path(request, tmp_path):
    """Return a file of big data, with or without compression."""
    return written(tmp_path / "result.h5", iq=iq(), raw=raw(), compression=request.param)


def by_xarray(engine):
    def read(path):
        with xarray.open_dataset(path, engine=engine) as dataset:
            return dataset["iq"].values, dataset["raw"].values

    return read


def by_h5py(path):
    with h5py.File(path) as file:
        return file["iq"][...], file["raw"][...]


@pytest.mark.parametrize("read", [by_xarray("h5netcdf"), by_xarray("netcdf4"), by_h5py])
def test_every_reader_finds_the_batches_in_a_row(path, read):
    if read is not by_h5py:
        pytest.importorskip("netCDF4", reason="netCDF4 is not installed")
    points, traces = read(path)
    np.testing.assert_array_equal(points, whole(iq()).values)
    np.testing.assert_array_equal(traces, whole(raw()).values)


@pytest.mark.parametrize("command", [["h5dump"], ["h5stat"], ["h5debug"], ["h5repack", "-f", "NONE"]])
def test_the_tools_of_hdf5_have_nothing_to_complain_of(path, command, tmp_path):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed (Debian: hdf5-tools)")
    more = [str(tmp_path / "copy.h5")] if command[0] == "h5repack" else []
    done = subprocess.run([*command, str(path), *more], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_big_data_lie_in_one_piece_and_begin_at_a_page(tmp_path):
    with h5py.File(written(tmp_path / "result.h5", iq=iq())) as file:
        assert file["iq"].chunks is None
        assert file["iq"].id.get_offset() % 4096 == 0


def test_compressed_data_have_the_filters_that_every_reader_has(tmp_path):
    with h5py.File(written(tmp_path / "result.h5", iq=iq(), compression="gzip")) as file:
        assert (file["iq"].compression, file["iq"].shuffle) == ("gzip", True)
        assert file["iq"].id.get_storage_size() < 0.95 * file["iq"].nbytes


def test_traces_of_few_bits_take_half_the_space_when_compressed(tmp_path):
    plain, packed = (written(tmp_path / f"{name}.h5", raw=raw(), compression=name) for name in (None, "gzip"))
    assert packed.stat().st_size < 0.6 * plain.stat().st_size


def test_the_same_batches_give_the_same_bytes(path, tmp_path):
    again = written(
        tmp_path / "again.h5",
        iq=InMemory([whole(iq())]),
        raw=raw(),
        compression=h5py.File(path)["iq"].compression,
    )
    assert again.read_bytes() == path.read_bytes()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.integers(1, 3),
    st.sampled_from([1, 7, 333, 3001]),
    st.sampled_from([1, 2, 5]),
    st.sampled_from(COMPRESSIONS),
)
def test_batches_of_any_shape_come_back(n_reps, n_readouts, n_elements, n_triggers, compression):
    rng = np.random.default_rng(sum(n_reps))
    parts = [rng.normal(size=(n_readouts, n, n_elements, n_triggers, 2)).astype("f4") for n in n_reps]
    file = io.BytesIO()
    batches = InMemory([Labelled(part, IQ_AXES) for part in parts])
    labels = [f"R{index}" for index in range(n_readouts)]
    x_axis = ("x", "", np.arange(float(n_elements)))
    write(
        file,
        **{**GIVEN, "readouts": labels},
        iq=batches,
        raw=None,
        x_axis=x_axis,
        compression=compression,
    )
    with h5py.File(file) as hdf5:
        np.testing.assert_array_equal(hdf5["iq"][...], np.concatenate(parts, axis=1))


class Filling(io.BytesIO):
    """A file on a disk that is full after a number of writes."""

    def __init__(self, n_writes):
        super().__init__()
        self.left = n_writes

    def write(self, data):
        if self.left <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.left -= 1
        return super().write(data)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_disk_that_is_full_at_any_write_is_an_ordinary_error(compression):
    n_writes, file, data = 0, Filling(0), {"iq": iq(), "raw": raw()}
    while file.left == 0:
        file = Filling(n_writes)
        try:
            write(file, **GIVEN, x_axis=X_AXIS, **data, compression=compression)
        except OSError as error:
            assert error.errno == errno.ENOSPC
        n_writes += 1
    gc.collect()
    assert n_writes > 10


SURVIVES = """
import gc, resource, signal, sys
from pathlib import Path
import numpy as np
from qtrl_spool import fs
from qtrl_spool.axes import IQ_AXES, InMemory, Labelled
from qtrl_spool.errors import StorageError
from qtrl_spool.results.write import write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
iq = InMemory([Labelled(np.ones((1, 100, 1250, 1, 2), np.float32), IQ_AXES)] * 3)  # 3 MB
def fill(file):
    write(file, iq=iq, raw=None, processed=None, readouts=["R6"], x_axis=("x", "", np.arange(1250.0)),
          identity={}, documents={})
try:
    fs.replace_by(Path(sys.argv[1]), fill)
except StorageError as error:
    print(error)
gc.collect()
print("alive")
"""


@pytest.mark.skipif(os.name == "nt", reason="the limit of a file's size is POSIX's")
def test_the_process_survives_a_full_disk_and_the_old_file_stays(tmp_path):
    (tmp_path / "result.h5").write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", SURVIVES, str(tmp_path / "result.h5")],
        capture_output=True,
        text=True,
        check=True,
    )
    said, alive = done.stdout.strip().splitlines()
    assert f"cannot write {tmp_path / 'result.h5'}" in said
    assert alive == "alive"
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("result.h5", b"old")]


SMALL = """
import sys
from pathlib import Path
import numpy as np
from qtrl_spool import fs
from qtrl_spool.axes import RAW_AXES, Labelled
from qtrl_spool.results.scratch import Scratch
from qtrl_spool.results.write import write
with Scratch(folder=Path(sys.argv[1]), in_memory=0) as scratch:
    for number in range(50):
        scratch.append(Labelled(np.full((2, 20, 50, 1, 1000), number, np.int32), RAW_AXES))  # 8 MB
    def fill(file):
        write(file, iq=None, raw=scratch.batches(), processed=None, readouts=[],
              x_axis=("x", "", np.arange(50.0)), identity={}, documents={})
    fs.replace_by(Path(sys.argv[1]) / "result.h5", fill, durable=False)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))  # kB
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak memory is told on Linux only")
def test_400_mb_of_traces_go_to_the_file_in_150_mb_of_memory(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SMALL), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 150_000
    with h5py.File(tmp_path / "result.h5") as file:
        assert file["raw"][1, ::20, 7, 0, 999].tolist() == list(range(50))
    (tmp_path / "result.h5").unlink()
