"""Every command, option and exit status is in the reference."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from qtrl_spool.cli.command import documented

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"
COMMANDS = dict(documented())
SHARED = {"--spool", "--json", "--help"}


def section(words: str) -> str:
    """Return what the reference says of one command."""
    _, found, rest = REFERENCE.read_text().partition(f"## `{words}")
    assert found, f"docs/reference/commands.md has no section {words!r}"
    return rest.partition("\n## ")[0]


@pytest.mark.parametrize("words", COMMANDS)
def test_the_command_is_documented(words: str) -> None:
    assert len(section(words)) > 40


@pytest.mark.parametrize("words", COMMANDS)
def test_every_option_of_the_command_is_documented(words: str) -> None:
    options = [each for each in COMMANDS[words].params if isinstance(each, click.Option)]
    names = {name for option in options for name in option.opts if name.startswith("--")} - SHARED
    assert {name for name in names if name not in section(words)} == set()


@pytest.mark.parametrize("words", COMMANDS)
def test_the_command_has_help_that_begins_with_a_sentence(words: str) -> None:
    assert (COMMANDS[words].help or "").split("\n")[0].strip()


def test_no_command_is_documented_that_is_not_there() -> None:
    lines = [line for line in REFERENCE.read_text().splitlines() if line.startswith("## `")]
    told = {line.removeprefix("## `").partition("`")[0] for line in lines}
    assert {each for each in told if not any(each.startswith(words) for words in COMMANDS)} == set()
