"""Files that earlier versions wrote stay readable for ever, all that is in them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray

from qtrl_spool.axes import InMemory, Labelled
from qtrl_spool.processing import Processed
from qtrl_spool.results import Result
from qtrl_spool.results.write import write
from tests.results.golden.facts import digest, facts

FILES = sorted((Path(__file__).parent / "golden").glob("*.h5"))
ENGINES = ["h5netcdf", "netcdf4"]


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def golden(request):
    with Result(request.param) as result:
        yield result


@pytest.fixture
def known(golden):
    return json.loads(golden.path.with_suffix(".json").read_text())


def test_there_are_golden_files():
    assert len(FILES) >= 3


def test_the_files_are_as_they_were_written(golden, known):
    assert facts(golden.path) == known


@pytest.mark.parametrize("engine", ENGINES)
def test_xarray_reads_every_variable_with_its_coordinates_and_units(golden, known, engine):
    pytest.importorskip({"netcdf4": "netCDF4"}.get(engine, engine), reason=f"{engine} is not installed")
    with xarray.open_dataset(golden.path, engine=engine) as dataset:
        assert set(dataset.data_vars) == set(known["variables"])
        for name, variable in known["variables"].items():
            found = dataset[name]
            assert [*found.dims] == variable["dims"]
            assert digest(found.values.astype(variable["dtype"])) == variable["sha256"]
            assert (found.attrs["units"], found.attrs["long_name"]) == (
                variable["units"],
                variable["long_name"],
            )
        for name, coordinate in known["coordinates"].items():
            assert dataset[name].values.tolist() == coordinate["values"]
            assert dataset[name].attrs["units"] == coordinate["units"]


def test_a_result_tells_the_attributes(golden, known):
    assert golden.attrs == known["attributes"]
    assert list(golden.notes) == known["attributes"].get("processing_notes", [])


def test_a_result_reads_its_data(golden):
    assert golden.iq.dtype == np.complex64
    assert golden.iq.dims == ("readout", "repetition", "element", "trigger")
    assert set(np.unique(golden.state)) <= {-1, 0, 1}
    np.testing.assert_allclose(golden.population.sum("level"), 1, atol=1e-5)
    assert golden.population_err.dims == ("readout", "level", "element")


def test_a_result_reads_its_texts(golden, known):
    assert golden.sequence.name
    assert golden.config["variables/Q1/freq"] > 4e9
    assert golden.patch["simulator"] == {"seed": 7}
    assert golden.default.variables["Q1/freq"] > 4e9
    assert golden.bundle.manifest.n_reps == known["attributes"]["n_reps"]


def test_the_sequence_still_compiles_to_the_same_program(golden, known):
    config = golden.default.merged(golden.bundle.patch)
    program = golden.sequence.compile(config.pulses).program
    assert program.sha256 == known["attributes"]["program_sha256"]


def test_a_result_is_told_and_drawn(golden):
    assert golden.attrs["job_id"] in golden.summary()
    assert "data:image/png" in golden._repr_html_()


def test_the_fits_are_read_and_used():
    with Result(next(path for path in FILES if path.stem == "0.1-rabi")) as result:
        assert set(result.fits) == {"R1", "R0"}
        assert set(result.fitted) == {"R1", "R0"}


def test_traces_are_read():
    with Result(next(path for path in FILES if path.stem == "0.1-raw")) as result:
        assert result.dataset["raw"].dims == ("quadrature", "repetition", "element", "trigger", "point")


def test_todays_writer_writes_the_same_form(golden, known, tmp_path):
    data = {name: Labelled(each.values, each.dims) for name, each in golden.dataset.data_vars.items()}
    own = {name: InMemory([data.pop(name)]) if name in data else None for name in ("iq", "raw")}
    found = ("fits", "classifier")
    attributes = {name: value for name, value in known["attributes"].items() if name in golden.attrs}
    x_axis = known["coordinates"]["element"]
    with (tmp_path / "again.h5").open("w+b") as file:
        write(
            file,
            **own,
            processed=Processed(data, notes=tuple(attributes.pop("processing_notes"))),
            readouts=known["coordinates"]["readout"]["values"],
            x_axis=(x_axis["long_name"], x_axis["units"], np.array(x_axis["values"])),
            identity={name: value for name, value in attributes.items() if name != "format"},
            documents={name: text for name, text in golden.documents.items() if name not in found},
        )
    again = facts(tmp_path / "again.h5")
    for each in (again, known):
        each["documents"] = {name: text for name, text in each["documents"].items() if name not in found}
    assert again == known
