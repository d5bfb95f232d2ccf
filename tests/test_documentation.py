"""The documentation says what the program does: links, tables, keys."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from qtrl_spool.bundle import Limits, Manifest
from qtrl_spool.job import MOVES, State, blank_record
from qtrl_spool.spool.layout import Layout
from qtrl_spool.spool.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "systemd").glob("*.md")])
REFERENCE = ROOT / "docs" / "reference"
_LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = [link for link in _LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_page_is_on_the_map(page: Path) -> None:
    maps = [ROOT / "README.md", ROOT / "docs" / "index.md", ROOT / "docs" / "decisions" / "README.md"]
    linked = {(each.parent / link).resolve() for each in maps for link in _LINK.findall(each.read_text())}
    decisions = {ROOT / "docs" / "decisions" / name.name for name in (ROOT / "docs" / "decisions").iterdir()}
    assert page.resolve() in {*linked, *decisions, ROOT / "README.md", ROOT / "docs" / "index.md"}


def test_the_table_of_moves_is_the_programs() -> None:
    text = (REFERENCE / "states.md").read_text()
    rows = set(re.findall(r"^\| (\(?\w+\)?) \| (\w+) \| (\w+) \|$", text, re.MULTILINE))
    moves = {(str(before or "(new)"), str(move), str(after)) for (before, move), after in MOVES.items()}
    assert rows - {("from", "move", "to")} == moves


@pytest.mark.parametrize("state", State)
def test_every_state_is_explained(state: State) -> None:
    assert f"| `{state}` |" in (REFERENCE / "states.md").read_text()


@pytest.mark.parametrize("key", blank_record("a", "b"))
def test_every_key_of_the_status_is_explained(key: str) -> None:
    assert f"`{key}`" in (REFERENCE / "states.md").read_text()


@pytest.mark.parametrize("key", [each.name for each in fields(Manifest)])
def test_every_key_of_the_manifest_is_explained(key: str) -> None:
    assert f"`{key}`" in (REFERENCE / "job-files.md").read_text()


@pytest.mark.parametrize("key", [each.name for each in (*fields(Settings), *fields(Limits))])
def test_every_key_of_spool_yaml_is_explained(key: str) -> None:
    assert f"`{key}`" in (REFERENCE / "files.md").read_text()


def test_every_test_that_a_guarantee_names_is_there() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "docs" / "guarantees.md").read_text()))
    assert named and [each for each in named if not (ROOT / each).exists()] == []


@pytest.mark.parametrize("folder", [each.name for each in Layout(ROOT).folders if each.name != "answered"])
def test_every_directory_of_a_spool_is_explained(folder: str) -> None:
    assert f"`{folder}/" in (REFERENCE / "files.md").read_text()
