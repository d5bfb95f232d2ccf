"""A finished job processed once more, with another chain."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from qtrl_spool.config import load_config
from qtrl_spool.errors import ConfigError, ProcessingError
from qtrl_spool.reprocess import reprocess
from qtrl_spool.results import Result
from qtrl_spool.shipped import default_config_folder

GOLDEN = Path(__file__).parent / "results" / "golden"
NO_HERALD = {"adc": {"processing": {"05_advanced_readout": {"00_heralding": {"enable": False}}}}}
NO_FITS = {"adc": {"processing": {"10_fitting": {"enable": False}}}}
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return Path(shutil.copy(GOLDEN / "0.1-rabi.h5", tmp_path / "result.h5"))


@pytest.fixture
def with_traces(tmp_path: Path) -> Path:
    return Path(shutil.copy(GOLDEN / "0.1-raw.h5", tmp_path / "result.h5"))


def test_the_same_chain_gives_the_same_populations(first: Path) -> None:
    with Result(first) as old, Result(reprocess(first, {})) as new:
        np.testing.assert_allclose(new.population, old.population, atol=1e-6)
        np.testing.assert_array_equal(new.state, old.state)
        np.testing.assert_array_equal(new.iq, old.iq)


def test_another_chain_gives_others_and_says_so(first: Path) -> None:
    with Result(first) as old, Result(reprocess(first, NO_HERALD, now=NOW)) as new:
        assert not np.allclose(new.population, old.population, atol=1e-4)
        assert "kept" not in new.dataset
        assert new.attrs["reprocessed"] == "2026-11-24T09:00:00.000000Z"
        assert new.attrs["reprocessed_from"] == "result.h5"
        assert "00_heralding" in new.documents["processing_patch"]


def test_what_was_measured_and_with_what_stays_as_it_was(first: Path) -> None:
    with Result(first) as old, Result(reprocess(first, NO_HERALD)) as new:
        same = ("job_id", "started", "program_sha256", "config_sha256", "seed", "tags")
        assert [new.attrs[name] for name in same] == [old.attrs[name] for name in same]
        for name in ("sequence", "patch", "job", "default"):
            assert new.documents[name] == old.documents[name]
        assert {**new.config, "adc": None} == {**old.config, "adc": None}
        assert new.config["adc/processing/05_advanced_readout/00_heralding/enable"] is False


def test_the_first_result_is_never_touched(first: Path) -> None:
    before = first.read_bytes()
    reprocess(first, NO_FITS)
    assert first.read_bytes() == before


def test_each_time_there_is_one_more(first: Path) -> None:
    made = [reprocess(first, NO_FITS).name for _ in range(3)]
    assert made == ["result-2.h5", "result-3.h5", "result-4.h5"]
    assert sorted(each.name for each in first.parent.iterdir()) == [*made, "result.h5"]


def test_a_number_that_somebody_is_just_writing_is_left_to_him(first: Path) -> None:
    first.with_name(".result-2.h5.writing").touch()
    assert reprocess(first, NO_FITS).name == "result-3.h5"


AT_ONCE = """
import sys
import tempfile
from pathlib import Path
from qtrl_spool.reprocess import reprocess
print(reprocess(Path(sys.argv[1]), {"adc": {"processing": {"10_fitting": {"enable": False}}}}).name)
"""


def test_several_at_a_time_each_get_their_own(first: Path) -> None:
    running = [
        subprocess.Popen([sys.executable, "-c", AT_ONCE, str(first)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    names = [each.communicate()[0].strip() for each in running]
    assert sorted(names) == ["result-2.h5", "result-3.h5", "result-4.h5"]


def test_traces_that_were_kept_are_demodulated_again(with_traces: Path) -> None:
    with Result(with_traces) as old, Result(reprocess(with_traces, {})) as new:
        np.testing.assert_allclose(new.iq, old.iq, atol=1e-5 * float(abs(old.iq).max()))
        assert "raw" not in new.dataset


def test_another_demodulation_gives_other_points(with_traces: Path) -> None:
    with Result(with_traces) as old:
        frequencies = old.config["adc/processing/00_simple_readout/00_heterodyne/kwargs/frequencies"]
    path = "adc/processing/00_simple_readout/00_heterodyne/kwargs/frequencies"
    other = {path: [each + 5e6 for each in frequencies]}
    with Result(with_traces) as old, Result(reprocess(with_traces, other)) as new:
        assert not np.allclose(new.iq, old.iq, rtol=0.01)


def test_the_chain_of_another_default_may_be_taken(first: Path) -> None:
    default = load_config(default_config_folder()).merged(NO_HERALD)
    with Result(reprocess(first, {}, default=default)) as new:
        assert "kept" not in new.dataset


def test_a_job_that_kept_its_points_only_can_be_processed_later(first: Path) -> None:
    other = {"adc": {"processing": {"15_joint_readout": {"enable": True}}}}
    with Result(reprocess(first, other)) as new:
        assert new.population.shape == (2, 2, 11)


@pytest.mark.parametrize("document", ["pulses", "simulator", "dac"])
def test_what_was_played_cannot_be_changed_afterwards(first: Path, document: str) -> None:
    with pytest.raises(ConfigError, match=f"'{document}' was played already.*adc and variables"):
        reprocess(first, {document: {"x": 1}})


def test_a_patch_that_does_not_fit_is_refused_and_writes_nothing(first: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean"):
        reprocess(first, {"adc": {"procesing": {}}})
    assert [each.name for each in first.parent.iterdir()] == ["result.h5"]


def test_a_chain_that_cannot_do_it_is_an_error_and_writes_nothing(first: Path) -> None:
    path = "adc/processing/00_simple_readout/00_heterodyne/kwargs/freq_labels"
    with pytest.raises((ProcessingError, ConfigError)):
        reprocess(first, {path: [7, 8, 9, 10]})
    assert [each.name for each in first.parent.iterdir()] == ["result.h5"]


def test_it_is_written_where_the_caller_says(first: Path, tmp_path: Path) -> None:
    assert reprocess(first, {}, output=tmp_path / "mine.h5") == tmp_path / "mine.h5"
    with Result(tmp_path / "mine.h5") as mine:
        assert mine.attrs["reprocessed_from"] == "result.h5"


AS_ANOTHER = """
import os, sys
from pathlib import Path
from qtrl_spool.errors import StorageError
from qtrl_spool.reprocess import reprocess
first, mine = map(Path, sys.argv[1:])
reprocess(first, {}, output=mine / "warm.h5")  # imports what another user may perhaps not read
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    reprocess(first, {})
except StorageError as error:
    print(error)
print(reprocess(first, {}, output=mine / "mine.h5").name)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be somebody else")
def test_a_home_that_is_the_servers_is_an_error_that_tells_the_way_out() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home, mine = Path(folder) / "home", Path(folder) / "mine"
        home.mkdir()
        mine.mkdir()
        for each, mode in ((Path(folder), 0o755), (home, 0o755), (mine, 0o777)):
            each.chmod(mode)
        first = shutil.copy(GOLDEN / "0.1-rabi.h5", home / "result.h5")
        words = [sys.executable, "-c", AS_ANOTHER, str(first), str(mine)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    refused, written = done.stdout.splitlines()
    assert "result-2.h5: Permission denied" in refused and "--output FILE" in refused
    assert written == "mine.h5"


def test_a_result_of_a_result_is_numbered_on(first: Path) -> None:
    second = reprocess(first, NO_FITS)
    with Result(reprocess(second, {}, output=first.with_name("third.h5"))) as third:
        assert third.attrs["reprocessed_from"] == "result-2.h5"
