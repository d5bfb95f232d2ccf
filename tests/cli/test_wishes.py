"""What submit, retry and edit are told, with a real server."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from qtrl_spool import Spool
from qtrl_spool.cli.wishes import time_of
from qtrl_spool.errors import UsageError
from tests.server.support import until

from .conftest import Run

NOW = datetime(2026, 11, 23, 17, 30)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("18:00", datetime(2026, 11, 23, 18, 0)),
        ("17:30", datetime(2026, 11, 24, 17, 30)),
        ("9:05:30", datetime(2026, 11, 24, 9, 5, 30)),
        ("2026-12-24 18:00", datetime(2026, 12, 24, 18, 0)),
        ("2026-12-24", datetime(2026, 12, 24)),
    ],
)
def test_a_time_without_a_zone_is_this_machines_next(word: str, expected: datetime) -> None:
    assert time_of(word, NOW) == expected.astimezone()


def test_a_time_with_a_zone_is_that() -> None:
    assert time_of("2026-11-23T18:00:00+01:00", NOW).utcoffset() is not None
    assert f"{time_of('2026-11-23T18:00:00+01:00', NOW).timestamp():.0f}" == "1795453200"


@pytest.mark.parametrize("word", ["24:00", "18.00", "soon", "", "99999-01-01"])
def test_what_is_no_time_is_refused_with_what_is_one(word: str) -> None:
    with pytest.raises(UsageError, match="write 18:00"):
        time_of(word, NOW)


@pytest.fixture
def held(run: Run, shared: Spool, job_file: Path) -> str:
    """Return the id of a held job."""
    job_id = run("submit", job_file, "--hold", "--tag", "night").out.strip()
    until(lambda: shared.job(job_id).state == "held")
    return job_id


def test_a_job_is_submitted_after_another_one_named_by_a_part_of_its_id(
    run: Run, shared: Spool, held: str, job_file: Path
) -> None:
    job_id = run("submit", job_file, "--after", held[-5:]).out.strip()
    until(lambda: shared.job(job_id).status()["reason"] == f"after job {held}")

    assert run("release", held).status == 0
    assert run("wait", job_id, "--timeout", "60").status == 0


def test_a_job_is_submitted_for_later(run: Run, shared: Spool, job_file: Path) -> None:
    tomorrow = datetime.now() + timedelta(days=1)
    job_id = run("submit", job_file, "--not-before", f"{tomorrow:%Y-%m-%d %H:%M}").out.strip()

    until(lambda: run("status", job_id, "--json").facts["reason"].startswith("not before "))

    assert run("cancel", job_id).status == 0


def test_a_job_is_retried_with_other_values(run: Run, shared: Spool, held: str) -> None:
    run("cancel", held)

    said = run("retry", held, "--n-reps", "6", "--set", "variables/Q1/rabi_amp=0.2", "--wait")
    again = shared.job(said.out.strip())

    assert said.status == 0 and again.id != held
    assert again.bundle().manifest.n_reps == 6 and again.status()["tags"] == ["night"]


def test_a_retry_that_could_not_run_is_refused_and_queues_nothing(run: Run, shared: Spool, held: str) -> None:
    before = len(shared.jobs())

    said = run("retry", held, "--set", "variables/Q1/rabi_ampl=0.2")

    assert said.status == 1 and "rabi_amp" in said.err and len(shared.jobs()) == before


def test_a_held_job_is_edited_by_options(run: Run, shared: Spool, held: str) -> None:
    said = run("edit", held, "--n-reps", "6", "--set", "variables/Q1/rabi_amp=0.2", "--unset", "tags")

    assert said.status == 0 and "n_reps: 20 → 6" in said.err and "tags: night → nothing" in said.err
    assert shared.job(held).bundle().manifest.n_reps == 6


def in_editor(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a script, given the path of a text, be the editor."""
    path = tmp_path / "editor.py"
    path.write_text(f"import sys\npath = sys.argv[1]\ntext = open(path).read()\n{script}\n")
    monkeypatch.setenv("EDITOR", shlex.join([sys.executable, str(path)]))
    monkeypatch.delenv("VISUAL", raising=False)


def test_a_held_job_is_edited_as_a_text(
    run: Run, shared: Spool, held: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_editor(
        "text = text.replace('n_reps: 20', 'n_reps: 7').replace('{}', "
        "'variables: {Q1/rabi_amp: 0.3}  # louder')\nopen(path, 'w').write(text)",
        tmp_path,
        monkeypatch,
    )

    said = run("edit", held)
    bundle: Any = shared.job(held).bundle()

    assert said.status == 0, said.err
    assert bundle.manifest.n_reps == 7 and bundle.manifest.tags == ("night",)
    assert bundle.patch_text == "variables: {Q1/rabi_amp: 0.3}  # louder\n"


def test_a_text_that_was_left_as_it_was_changes_nothing(
    run: Run, shared: Spool, held: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_editor("open(path, 'w').write(text)", tmp_path, monkeypatch)

    said = run("edit", held)

    assert said.status == 0 and "stays as it is" in said.err


def test_where_there_is_no_editor_the_remedy_is_named(
    run: Run, shared: Spool, held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR", "/nowhere/at-all")
    monkeypatch.delenv("VISUAL", raising=False)

    said = run("edit", held)

    assert said.status == 1 and "/nowhere/at-all" in said.err and "--set" in said.err


def test_a_text_that_is_refused_is_kept(
    run: Run, shared: Spool, held: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_editor("open(path, 'w').write(text.replace('n_reps: 20', 'n_rep: 7'))", tmp_path, monkeypatch)

    said = run("edit", held)
    kept = Path(said.err.split("your text is kept in ")[1].split(")")[0].strip())

    assert said.status == 1 and "n_reps" in said.err
    assert "n_rep: 7" in kept.read_text()
    kept.unlink()
