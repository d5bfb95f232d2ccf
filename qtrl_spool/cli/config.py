"""``config``: the default configuration, read from files, updated through a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from qtrl_spool.cli.options import assigned, json_option, opened, spool_option
from qtrl_spool.cli.say import document, fact, report, word
from qtrl_spool.cli.tables import table, when
from qtrl_spool.errors import ConfigError

_why = click.option("-m", "--reason", "reason", metavar="WHY", required=True, help="Why, for the log.")


@click.group()
def config() -> None:
    """Read and update the default configuration.

    A PATH is a document and keys with slashes: variables/Q6/freq.
    """


@config.command()
@click.argument("path", required=False)
@click.option("--version", "version", metavar="N", type=int, help="As it was at this version.")
@click.option("--effective", "job", metavar="JOB", help="As this job ran with it, patch included.")
@spool_option
@json_option
def show(path: str | None, version: int | None, job: str | None, spool: str, as_json: bool) -> None:
    """Show the configuration or the value at PATH, variables put in and derived ones made."""
    found = _shown(spool, version, job)
    value = found if path is None else found[path.strip("/")]
    if as_json:
        document(_plain(value))
    else:
        fact(_text(value))


def _shown(spool: str, version: int | None, job: str | None) -> Any:
    from qtrl_spool.config.tree import Tree
    from qtrl_spool.errors import UsageError

    place = opened(spool)
    if job is not None and version is not None:
        raise UsageError("--version and --effective exclude each other", hint="give one of them")
    if job is not None:
        return place.job(job).effective()
    return Tree((place.config.current() if version is None else place.config.at(version)).effective)


def _plain(value: Any) -> Any:
    from qtrl_spool.config.tree import plain

    return plain(value)


def _text(value: Any) -> str:
    from qtrl_spool.config.edit import dump_yaml

    if isinstance(value, str):
        return value
    return dump_yaml(value).removesuffix("...\n").rstrip("\n")


@config.command("set")
@click.argument("settings", metavar="PATH=VALUE...", nargs=-1, required=True)
@_why
@click.option("--base", metavar="N", type=int, help="Refuse if a version came after N.")
@spool_option
@json_option
def set_(settings: tuple[str, ...], reason: str, base: int | None, spool: str, as_json: bool) -> None:
    """Change values: variables/Q6/freq=5.41e9; the values are YAML."""
    _update(spool, assigned(settings), reason, base, as_json)


@config.command()
@click.argument("file", metavar="FILE")
@_why
@click.option("--base", metavar="N", type=int, help="Refuse if a version came after N.")
@spool_option
@json_option
def apply(file: str, reason: str, base: int | None, spool: str, as_json: bool) -> None:
    """Merge the patch in a YAML file."""
    from qtrl_spool.cli.hand_in import read_patch

    _update(spool, read_patch(file), reason, base, as_json)


def _update(spool: str, patch: Mapping[str, Any], reason: str, base: int | None, as_json: bool) -> None:
    _tell(opened(spool).config.update(patch, reason, base=base), as_json)


def _tell(version: int, as_json: bool) -> None:
    if as_json:
        document({"version": version})
    else:
        word(f"the default configuration is version {version} now")


@config.command()
@spool_option
@json_option
def log(spool: str, as_json: bool) -> None:
    """Show every version: who made it, when and why."""
    entries = opened(spool).config.log()
    if as_json:
        document(entries)
        return
    rows = [
        (entry.get("version"), when(entry.get("when")), entry.get("who"), entry.get("why") or _refusal(entry))
        for entry in entries
    ]
    fact(table(("VERSION", "WHEN", "WHO", "WHY"), rows))


def _refusal(entry: Mapping[str, Any]) -> str:
    return f"refused: {str(entry.get('refused')).splitlines()[0]}"


@config.command()
@click.argument("a", metavar="A", type=int)
@click.argument("b", metavar="[B]", type=int, required=False)
@spool_option
def diff(a: int, b: int | None, spool: str) -> None:
    """Show what changed from version A to version B (the one in force)."""
    found = opened(spool).config.diff(a, b)
    if found:
        fact(found)
    else:
        word("no value differs")


@config.command()
@click.argument("version", metavar="N", type=int)
@_why
@spool_option
@json_option
def rollback(version: int, reason: str, spool: str, as_json: bool) -> None:
    """Make a new version that equals version N."""
    _tell(opened(spool).config.rollback(version, reason=reason), as_json)


@config.command()
@click.argument("folder", metavar="[DIR]", required=False)
@spool_option
@json_option
def validate(folder: str | None, spool: str, as_json: bool) -> int:
    """Check a folder of YAML files; without DIR, the files of the spool as they are edited just now."""
    from pathlib import Path

    from qtrl_spool.config import load_config
    from qtrl_spool.create import warnings_of

    files = opened(spool).config.files if folder is None else Path(folder).expanduser()
    try:
        checked = load_config(files)
    except ConfigError as error:
        report(error)
        if as_json:
            problems = [each.record() for each in error.problems]
            document({"folder": files, "ok": False, "problems": problems, "warnings": []})
        return error.exit_status
    warnings = warnings_of(checked)
    for warning in warnings:
        word(f"warning: {warning}")
    if as_json:
        document({"folder": files, "ok": True, "problems": [], "warnings": warnings})
    else:
        fact(f"{files}: fine: {', '.join(checked.documents)}")
    return 0
