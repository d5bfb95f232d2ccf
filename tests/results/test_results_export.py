"""Results for other programs."""

from __future__ import annotations

import io
import shutil
import subprocess

import numpy as np
import pandas
import pytest
import xarray

from qtrl_spool.errors import NotFoundError, StorageError
from qtrl_spool.processing.fitting import evaluate
from qtrl_spool.results.export import csv_text, netcdf, write_csv
from tests.results.golden.facts import facts


@pytest.fixture
def table(result):
    return pandas.read_csv(io.StringIO(csv_text(result)))


def test_the_table_has_a_row_for_each_readout_level_and_element(table):
    assert list(table) == [
        "readout",
        "level",
        "element",
        "pulse width (us)",
        "population",
        "population_err",
        "fit",
    ]
    assert len(table) == 2 * 2 * 21


def test_the_table_holds_the_populations_with_their_errors_and_x(table, result):
    row = table[(table.readout == "R0") & (table.level == 1)]
    np.testing.assert_array_equal(row["pulse width (us)"], result.dataset["element"])
    expected = result.population.sel(readout="R0", level=1)
    np.testing.assert_array_equal(row.population.astype("f4"), expected)
    np.testing.assert_array_equal(
        row.population_err.astype("f4"), result.population_err.sel(readout="R0", level=1)
    )


def test_the_table_holds_the_fit_where_there_is_one(table, result):
    fitted = table[(table.readout == "R6") & (table.level == 1)]
    expected = evaluate("cos", result.fits["R6"]["cos"], result.dataset["element"].values)
    np.testing.assert_allclose(fitted.fit, expected)
    assert table[(table.readout != "R6") | (table.level != 1)].fit.isna().all()


def test_what_is_not_known_is_an_empty_cell(build, processed):
    processed.variables["population"].values[1, :, 3] = np.nan
    lines = csv_text(build()).splitlines()
    assert "R0,1,3,0.06,,0.05," in lines


def test_without_populations_the_table_has_the_mean_points(build, iq):
    table = pandas.read_csv(io.StringIO(csv_text(build(processed=None))))
    row = table[(table.readout == "R6") & (table.trigger == 1)]
    points = iq.values[0, :, :, 1]
    np.testing.assert_allclose(row[["I", "Q"]], points.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(row[["I_err", "Q_err"]], points.std(axis=0, ddof=1) / np.sqrt(30), rtol=1e-4)


def test_the_table_is_written_into_a_file(result, tmp_path):
    write_csv(result, tmp_path / "rabi.csv")
    assert (tmp_path / "rabi.csv").read_text() == csv_text(result)


@pytest.mark.parametrize("write", [write_csv, netcdf])
def test_a_file_that_cannot_be_written_is_an_error_that_says_why(result, tmp_path, write):
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="folder"):
        write(result, tmp_path / "folder")
    with pytest.raises(NotFoundError, match="there is no folder"):
        write(result, tmp_path / "nowhere" / "file")


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_netcdf_opens_with_both_engines(result, tmp_path, engine):
    pytest.importorskip("netCDF4", reason="netCDF4 is not installed")
    netcdf(result, tmp_path / "rabi.nc")
    with xarray.open_dataset(tmp_path / "rabi.nc", engine=engine) as dataset:
        xarray.testing.assert_equal(dataset["population"], result.population)


def test_netcdf_has_all_that_is_in_the_result(result, tmp_path):
    netcdf(result, tmp_path / "rabi.nc")
    assert facts(tmp_path / "rabi.nc") == facts(result.path)


def test_ncdump_has_nothing_to_complain_of(result, tmp_path):
    program = shutil.which("ncdump")
    if program is None:
        pytest.skip("ncdump is not installed (Debian: netcdf-bin)")
    netcdf(result, tmp_path / "rabi.nc")
    done = subprocess.run(
        [program, "-h", str(tmp_path / "rabi.nc")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert 'element:units = "us"' in done.stdout
