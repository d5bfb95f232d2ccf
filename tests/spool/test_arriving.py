"""Whether a job that another one waits for has come to its end."""

from __future__ import annotations

from pathlib import Path

from qtrl_spool.job import State, final_name
from qtrl_spool.spool.arriving import is_open
from qtrl_spool.spool.layout import Layout

JOB = "20261123-101530-rabi-k3f9x"


def home_of(tmp_path: Path) -> tuple[Layout, Path]:
    layout = Layout(tmp_path)
    home = layout.home(JOB)
    home.mkdir(parents=True)
    return layout, home


def test_a_job_whose_record_cannot_be_seen_yet_has_not_ended(tmp_path: Path) -> None:
    layout, _ = home_of(tmp_path)

    assert is_open(layout, JOB)


def test_a_job_whose_record_cannot_be_seen_has_ended_when_its_ticket_says_so(tmp_path: Path) -> None:
    layout, home = home_of(tmp_path)
    (home / final_name(State.DONE, 1)).touch()

    assert not is_open(layout, JOB)


def test_a_job_whose_home_was_removed_has_ended(tmp_path: Path) -> None:
    layout, home = home_of(tmp_path)
    home.rmdir()

    assert not is_open(layout, JOB)
