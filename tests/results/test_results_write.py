"""The file as other programs see it: contract §4."""

from __future__ import annotations

import shutil
import subprocess

import h5py
import numpy as np
import pytest
import xarray

from qtrl_spool.axes import IQ_AXES, RAW_AXES, Labelled
from qtrl_spool.errors import InternalError
from qtrl_spool.processing import Processed
from qtrl_spool.results.write import image


def test_xarray_opens_the_file_as_it_is(result, iq):
    with xarray.open_dataset(result.path) as dataset:
        assert dataset["iq"].dims == IQ_AXES
        np.testing.assert_array_equal(dataset["iq"].values, iq.values)


def test_xarray_picks_readouts_and_quadratures_by_their_labels(result, iq):
    with xarray.open_dataset(result.path) as dataset:
        np.testing.assert_array_equal(dataset.iq.sel(readout="R0", quadrature="Q"), iq.values[1, ..., 1])


def test_the_element_coordinate_is_the_x_axis_with_name_and_unit(result):
    with xarray.open_dataset(result.path) as dataset:
        assert dataset["element"].attrs == {"long_name": "pulse width", "units": "us"}
        np.testing.assert_array_equal(dataset["element"], np.arange(21) * 0.02)


@pytest.mark.parametrize(
    ("unit", "written"), [("", "1"), ("microseconds", "us"), ("seconds", "s"), ("Hz", "Hz")]
)
def test_a_unit_never_makes_xarray_take_the_x_axis_for_time_differences(build, unit, written):
    x = np.arange(21.0)
    result = build(x_axis=("delay", unit, x))
    with xarray.open_dataset(result.path) as dataset:
        assert dataset["element"].attrs["units"] == written
        np.testing.assert_array_equal(dataset["element"], x)


def test_every_variable_and_every_coordinate_has_units_and_a_long_name(result):
    with xarray.open_dataset(result.path) as dataset:
        assert [name for name in dataset.variables if {"units", "long_name"} - set(dataset[name].attrs)] == []


def test_every_dimension_is_an_hdf5_dimension_scale(result):
    with h5py.File(result.path, "r") as file:
        data = [item for item in file.values() if isinstance(item, h5py.Dataset) and not item.is_scale]
        assert data
        assert all(len(dim) == 1 for item in data for dim in item.dims)


def test_numbers_are_float32_and_levels_are_int8(result):
    with h5py.File(result.path, "r") as file:
        kinds = {
            name: file[name].dtype.name for name in ("iq", "population", "population_err", "60", "state")
        }
    assert kinds == {"iq": "float32", "population": "float32", "population_err": "float32"} | {
        "60": "float32",
        "state": "int8",
    }


def test_kept_is_true_or_false_to_xarray(result, processed):
    with xarray.open_dataset(result.path) as dataset:
        assert dataset["kept"].dtype == bool
        np.testing.assert_array_equal(dataset["kept"], processed.variables["kept"].values)


def test_identity_is_in_the_root_attributes(result):
    with h5py.File(result.path, "r") as file:
        assert file.attrs["format"] == "qtrl-result/1"
        assert file.attrs["job_id"] == "20261123-101530-rabi-k3f9x"
        assert file.attrs["tags"].tolist() == ["night", "größe"]
        assert file.attrs["n_reps"] == 30
        assert "seed" not in file.attrs


def test_documents_are_text_datasets(result):
    with h5py.File(result.path, "r") as file:
        assert file["documents/patch"].asstr()[()].startswith("variables:")
        assert set(file["documents"]) == {"sequence", "patch", "config", "fits"}


def test_names_that_hdf5_or_the_axes_do_not_allow_are_changed(result):
    with xarray.open_dataset(result.path) as dataset:
        assert {"a_b", "element_result", "60"} <= set(dataset.data_vars)


def test_joint_results_have_the_labels_of_their_bins(result):
    with xarray.open_dataset(result.path) as dataset:
        assert dataset["60"].sel(joint_60="10").shape == (21,)


def test_a_partial_result_without_processing_has_its_points_only(build):
    with xarray.open_dataset(build(processed=None).path) as dataset:
        assert list(dataset.data_vars) == ["iq"]


def test_b25_raw_traces_are_there_once_when_they_are_kept(build):
    raw = Labelled(np.arange(2 * 30 * 21 * 2 * 8, dtype=np.int16).reshape(2, 30, 21, 2, 8), RAW_AXES)
    with xarray.open_dataset(build(raw=raw).path) as dataset:
        assert dataset["raw"].dims == RAW_AXES
        np.testing.assert_array_equal(dataset["raw"], raw.values)


def test_the_same_job_gives_the_same_bytes(build):
    assert build().path.read_bytes() == build().path.read_bytes()


def test_hdf5_of_version_1_10_may_read_the_file(result):
    with h5py.File(result.path, "r") as file:
        assert file.id.get_create_plist().get_version()[0] <= 3


def test_h5dump_has_nothing_to_complain_of(result):
    program = shutil.which("h5dump")
    if program is None:
        pytest.skip("h5dump is not installed (Debian: hdf5-tools)")
    done = subprocess.run([program, str(result.path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_netcdf_library_opens_the_file_too(result, iq):
    pytest.importorskip("netCDF4", reason="netCDF4 is not installed")
    with xarray.open_dataset(result.path, engine="netcdf4") as dataset:
        np.testing.assert_array_equal(dataset.iq.sel(readout="R0"), iq.values[1])


def test_variables_that_disagree_about_an_axis_are_refused(build):
    other = Processed({"population": Labelled(np.zeros((2, 20), np.float32), ("readout", "element"))})
    with pytest.raises(InternalError, match="population has 20 along element, expected 21"):
        build(processed=other)


def test_nothing_is_written_to_the_disk(tmp_path, monkeypatch, iq):
    monkeypatch.chdir(tmp_path)
    image(
        iq=iq,
        raw=None,
        processed=None,
        readouts=("R6", "R0"),
        x_axis=("x", "", np.arange(21.0)),
        identity={},
        documents={},
    )
    assert list(tmp_path.iterdir()) == []
