"""Answers are kept for a while, and not for ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qtrl_spool.spool import requests
from qtrl_spool.spool.layout import Layout

NOW = 2_000_000_000.0


def answered(root: Path, ages_s: dict[str, float]) -> Layout:
    layout = Layout(root)
    layout.answered.mkdir(parents=True)
    for name, age_s in ages_s.items():
        (layout.answered / name).write_text("answer: {ok: true}\n")
        os.utime(layout.answered / name, (NOW - age_s, NOW - age_s))
    return layout


def test_answers_older_than_thirty_days_are_removed(tmp_path: Path) -> None:
    layout = answered(tmp_path, {"old.yaml": 31 * 86_400, "new.yaml": 29 * 86_400})

    assert requests.clear_answered(layout, now=NOW) == 1
    assert os.listdir(layout.answered) == ["new.yaml"]


def test_of_too_many_answers_the_oldest_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MOST_ANSWERS", 3)
    layout = answered(tmp_path, {f"{n}.yaml": n for n in range(5)})

    assert requests.clear_answered(layout, now=NOW) == 2
    assert sorted(os.listdir(layout.answered)) == ["0.yaml", "1.yaml", "2.yaml"]


def test_a_folder_that_was_answered_goes_too(tmp_path: Path) -> None:
    layout = answered(tmp_path, {})
    folder = layout.answered / "wishes.folder"
    folder.mkdir()
    (folder / "a").touch()
    os.utime(folder, (1, 1))

    assert requests.clear_answered(layout, now=NOW) == 1
    assert not folder.exists()
