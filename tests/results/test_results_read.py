"""What `Result` makes of a file."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import h5py
import numpy as np
import pytest

from qtrl_spool.errors import NotFoundError, UnknownPathError, UsageError
from qtrl_spool.results import Result
from tests.results.conftest import IDENTITY


def test_points_come_as_complex_numbers(result, iq):
    assert result.iq.dims == ("readout", "repetition", "element", "trigger")
    assert result.iq.dtype == np.complex64
    np.testing.assert_array_equal(result.iq, iq.values[..., 0] + 1j * iq.values[..., 1])


def test_population_and_state_are_picked_by_readout_and_level(result, processed):
    expected = processed.variables["population"].values[1, 1]
    np.testing.assert_array_equal(result.population.sel(readout="R0", level=1), expected)
    np.testing.assert_array_equal(result.state, processed.variables["state"].values)


def test_attributes_are_plain_python_values(result):
    attrs = result.attrs
    assert attrs["tags"] == ["night", "größe"]
    assert type(attrs["n_reps"]) is int
    assert type(attrs["name"]) is str


def test_configuration_and_patch_come_as_trees_of_yaml_1_2(result):
    assert result.config == {"variables": {"Q6": {"freq": 5.41e9}}, "adc": {"on": "off"}}
    assert result.patch == {"variables": {"Q6": {"freq": 5.41e9}}}


def test_the_configuration_is_reached_by_slash_paths(result):
    assert result.config["variables/Q6/freq"] == 5.41e9


def test_a_path_that_the_configuration_lacks_is_an_error_with_the_nearest(result):
    with pytest.raises(UnknownPathError, match="did you mean 'freq'"):
        _ = result.config["variables/Q6/frq"]


def test_a_job_without_a_patch_has_an_empty_one(build):
    assert build(documents={"patch": ""}).patch == {}


def test_the_sequence_comes_back_as_it_was_submitted(build):
    from qtrl_spool.sequence import SequenceWrapper

    sequence = SequenceWrapper(n_elements=3, name="mine")
    sequence.append("Q6/X180", element=1)
    import json

    read = build(documents={"sequence": json.dumps(sequence.to_dict())}).sequence
    assert read.to_dict() == sequence.to_dict()


def test_fits_tell_their_parameters_in_units_of_the_x_axis(result):
    fits = result.fits
    assert fits["R6"]["best"] == "cos"
    frequency = fits["R6"]["cos"]["parameters"]["frequency"]
    assert frequency["unit"] == "MHz"
    assert frequency["value"] == pytest.approx(10, rel=0.01)
    assert fits["R0"]["best"] is None


def test_the_summary_says_what_was_measured_and_found(result):
    text = result.summary()
    for piece in ("rabi <Q6>", "ada", "night, größe", "30 repetitions", "R6 fit", "MHz", "heralding kept"):
        assert piece in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "20261123-101530-rabi-k3f9x (done)"),
        ({"finished": None, "n_reps": 10, "n_batches": 8}, "(partial, 3 of 8 batches)"),
        ({"finished": None}, "(partial)"),
        ({"started": "2026-11-23T10:15:31.000000Z"}, "2026-11-23 10:15:31 UTC, took 10 s"),
        ({"config_version": 12}, "version 12; changed: variables/Q6/freq = 5410000000"),
        ({"n_reps": 15}, "30 repetitions (2 x 15), 21 elements of pulse width (us), 2 triggers"),
    ],
)
def test_the_summary_tells_state_times_and_settings(build, changes, said):
    assert said in build(identity={**IDENTITY, "n_reps": None, **changes}).summary()


def test_a_result_shows_itself_by_name_id_and_path(result, tmp_path):
    assert repr(result) == f"<Result rabi <Q6> 20261123-101530-rabi-k3f9x: {result.path}>"
    assert repr(Result(tmp_path / "nothing.h5")) == f"<Result {tmp_path / 'nothing.h5'}>"


def test_the_notebook_table_is_escaped_and_holds_the_picture(result):
    text = result._repr_html_()
    assert "rabi &lt;Q6&gt;" in text
    assert "data:image/png;base64," in text


def test_a_missing_variable_is_an_error_that_lists_what_is_there(build):
    with pytest.raises(NotFoundError, match=r"no 'population'.*it has iq"):
        _ = build(processed=None).population


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(NotFoundError, match=r"nothing\.h5"):
        _ = Result(tmp_path / "nothing.h5").attrs


@pytest.mark.parametrize("n_bytes", [0, 700])
def test_a_torn_file_is_an_error_that_says_so(result, n_bytes):
    result.path.write_bytes(result.path.read_bytes()[:n_bytes])
    with pytest.raises(UsageError, match="it cannot be opened as an HDF5 file"):
        _ = result.dataset


def test_a_newer_format_is_refused_with_a_hint(result):
    with h5py.File(result.path, "r+") as file:
        file.attrs["format"] = "qtrl-result/2"
    with pytest.raises(UsageError, match=r"'qtrl-result/2'.*newer qtrl-spool"):
        _ = result.dataset


def test_a_closed_result_opens_again_when_it_is_used(result):
    with result:
        first = float(result.population.sum())
    assert float(result.population.sum()) == first


def test_the_file_may_be_replaced_while_it_is_open(result):
    dataset = result.dataset
    other = result.path.with_name("other.h5")
    other.write_bytes(result.path.read_bytes())
    other.replace(result.path)
    assert dataset.iq.shape[0] == 2


def test_importing_results_loads_no_heavy_library():
    heavy = ("numpy", "h5py", "xarray", "matplotlib", "scipy")
    program = f"import sys, qtrl_spool.results; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_summary_needs_no_xarray(result):
    program = f"""
import sys
from qtrl_spool.results import Result
Result({str(result.path)!r}).summary()
print([name for name in ("xarray", "matplotlib", "scipy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_times_are_read_as_times(build):
    finished = build(identity={"finished": "2026-11-23T10:15:41.250000Z"}).attrs["finished"]
    assert datetime.fromisoformat(finished) == datetime(2026, 11, 23, 10, 15, 41, 250_000, UTC)
