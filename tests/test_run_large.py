"""A job that measures more than the memory holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from qtrl_spool import run
from qtrl_spool.backends import load_backend
from qtrl_spool.bundle import Bundle, Manifest
from qtrl_spool.config import load_config
from qtrl_spool.experiments import rabi
from qtrl_spool.shipped import default_config_folder

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from qtrl_spool.gathered import Data
from qtrl_spool import fs, run
from qtrl_spool.axes import RAW_AXES, Labelled
from qtrl_spool.bundle import Bundle, Manifest
from qtrl_spool.config import load_config
from qtrl_spool.experiments import rabi
from qtrl_spool.measurement import Acquired
from qtrl_spool.shipped import default_config_folder

class Steady:
    def acquire(self, batch, should_stop):
        return Acquired(raw=Labelled(np.full((2, 100, 50, 1, 1000), batch, np.int16), RAW_AXES))  # 20 MB

settings = {"keep_raw": True, "n_reps": 100, "n_batches": 25, "compression": sys.argv[2]}
bundle = Bundle(rabi("Q1", 50, 20e-9).to_dict(), {"adc": {"acquisition_settings": settings}}, Manifest())
prepared = run.prepare(bundle, load_config(default_config_folder()))
data = Data(run.need_of(prepared))
run.acquire(prepared, Steady(), data, halting=lambda: False, aborting=lambda: False, on_batch=lambda _: None)
fs.replace_by(Path(sys.argv[1]), run.conclude(prepared, data, {}), durable=False)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))  # kB
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak memory is told on Linux only")
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_half_a_gigabyte_of_traces_is_measured_processed_and_written_in_less(
    tmp_path: Path, compression: str
) -> None:
    words = [sys.executable, "-c", PROGRAM, str(tmp_path / "result.h5"), compression]
    environment = {**os.environ, "QTRL_SPOOL_SCRATCH": str(tmp_path)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 300_000
    with h5py.File(tmp_path / "result.h5") as file:
        np.testing.assert_array_equal(file["raw"][1, ::100, 7, 0, 999], np.arange(25))
        assert (file["raw"].compression or "none") == compression
        assert file["state"].shape == (1, 2500, 50)
    (tmp_path / "result.h5").unlink()


def test_room_is_reckoned_by_the_samples_that_the_instrument_gives() -> None:
    simulator = load_backend("simulator")
    simulator.connect()
    patch = {"adc": {"acquisition_settings": {"keep_raw": True, "n_reps": 2, "n_batches": 1}}}
    default = load_config(default_config_folder())
    prepared = run.prepare(Bundle(rabi("Q1", 3, 20e-9).to_dict(), patch, Manifest()), default)
    simulator.arm(simulator.prepare(run.measurement(prepared)))
    traces = simulator.acquire(0, lambda: False).raw
    assert run.need_of(prepared, simulator.capabilities).raw == traces.values.nbytes
    assert run.need_of(prepared).raw == 2 * traces.values.nbytes
